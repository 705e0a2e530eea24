import { UsageError } from "./usage-error.ts";

/** A `--format`; buildctl's template for JSON is understood as well. */
export function checkFormat(text: string | undefined): "table" | "json" {
  if (text === undefined || text === "table") return "table";
  if (text === "json" || /^\{\{ *json \.? *\}\}$/.test(text)) return "json";
  throw new UsageError(`invalid format ${JSON.stringify(text)}: expected table or json`);
}
