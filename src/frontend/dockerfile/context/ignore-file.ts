import { cleanPath } from "../../../llb/builder/index.ts";
import { trimSpace } from "../text.ts";

/** Patterns of a .dockerignore file: no comments, blanks or leading slashes, paths at their shortest (moby/patternmatcher). */
export function parseIgnoreFile(data: Uint8Array): string[] {
  const patterns: string[] = [];
  for (const line of new TextDecoder().decode(data).split("\n")) {
    if (line.startsWith("#")) continue;
    const text = trimSpace(line);
    if (text === "") continue;
    const inverted = text.startsWith("!");
    let pattern = inverted ? trimSpace(text.slice(1)) : text;
    if (pattern !== "") {
      pattern = cleanPath(pattern);
      if (pattern.length > 1 && pattern.startsWith("/")) pattern = pattern.slice(1);
    }
    patterns.push(inverted ? `!${pattern}` : pattern);
  }
  return patterns;
}
