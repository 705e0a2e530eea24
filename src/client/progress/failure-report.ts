import type { BuildView } from "./build-view.ts";

const rule = "------\n";

/** Each failed step with the last lines it wrote, or nothing. */
export function failureReport(view: BuildView): string {
  let text = "";
  for (const { name, lines } of view.failures()) {
    text += `${rule} > ${name}:\n${lines.map((line) => `${line}\n`).join("")}${rule}`;
  }
  return text;
}
