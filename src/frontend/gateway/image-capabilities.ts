import type { BuildError } from "../../core/errors/build-error.ts";
import { unsupportedFrontendCap } from "../dockerfile/frontend-caps.ts";
import type { FrontendImage } from "./frontend-image.ts";

const inputsCap = "moby.buildkit.frontend.inputs";

/** docker/dockerfile 1.1.6, 1.1.7 and their experimental forms: they take inputs, but their labels do not say so. */
const takesInputs: ReadonlySet<string> = new Set([
  "sha256:9ac1c43a60e31dca741a6fe8314130a9cd4c4db0311fbbc636ff992ef60ae76d",
  "sha256:080bd74d8778f83e7b670de193362d8c593c8b14f5c8fb919d28ee8feda0d069",
  "sha256:60543a9d92b92af5088fb2938fb09b2072684af8384399e153e137fe081f8ab4",
  "sha256:de85b2f3a3e8a2f7fe48e8e84a65f6fdd5cd5183afa6412fff9caa6871649c44",
]);

/**
 * What the request needs and the image's label does not promise (map j2): a client may then try without.
 * @returns the error to throw; undefined when nothing is missing
 */
export function missingCapability(
  image: FrontendImage,
  opts: Readonly<Record<string, string>>,
  hasInputs: boolean,
): BuildError | undefined {
  const offered = capabilities(image.config.labels.get("moby.buildkit.frontend.caps") ?? "");
  if (image.digest !== undefined && takesInputs.has(image.digest)) offered.add(inputsCap);
  const needed = capabilities(opts["frontend.caps"] ?? "");
  if (hasInputs) needed.add(inputsCap);
  const missing = [...needed].find((name) => !offered.has(name));
  return missing === undefined ? undefined : unsupportedFrontendCap(missing);
}

/** `name+option,name` → names. */
function capabilities(list: string): Set<string> {
  const names = list.split(",").map((entry) => entry.split("+", 1)[0] ?? "");
  return new Set(names.filter((name) => name !== ""));
}
