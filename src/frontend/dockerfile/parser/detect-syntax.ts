import type { Range } from "../../../api/gen/ops.ts";
import { lineRanges } from "../dockerfile-error.ts";
import { cut } from "../text.ts";
import { type DirectiveName, DirectiveReader } from "./directives.ts";
import { maxLineBytes } from "./line-reader.ts";

export interface FoundDirective {
  /** First word of the value. */
  readonly value: string;
  /** The whole value. */
  readonly commandLine: string;
  readonly location: readonly Range[];
}

/**
 * The frontend a file asks for: `# syntax=`, `// syntax=`, or the key `syntax` of a JSON document; a shebang line may come
 * first (BuildKit frontend/dockerfile/parser/directives.go).
 */
export function detectSyntax(source: Uint8Array): FoundDirective | undefined {
  const { text, linesBefore } = withoutShebang(source);
  return (
    findInComments("syntax", text, "#", linesBefore) ??
    findInComments("syntax", text, "//", linesBefore) ??
    findInJson("syntax", text, linesBefore)
  );
}

/** A `# name=` directive of a Dockerfile. */
export function findDirective(name: DirectiveName, source: Uint8Array): FoundDirective | undefined {
  const { text, linesBefore } = withoutShebang(source);
  return findInComments(name, text, "#", linesBefore);
}

function withoutShebang(source: Uint8Array): { readonly text: string; readonly linesBefore: number } {
  const text = new TextDecoder().decode(source);
  if (!text.startsWith("#!")) return { text, linesBefore: 0 };
  return { text: cut(text, "\n").after ?? "", linesBefore: 1 };
}

function findInComments(
  name: DirectiveName,
  text: string,
  token: string,
  linesBefore: number,
): FoundDirective | undefined {
  const reader = new DirectiveReader(token, linesBefore);
  for (let rest: string | undefined = text; rest !== undefined && rest !== "" && !reader.done; ) {
    const { before, after }: ReturnType<typeof cut> = cut(rest, "\n");
    rest = after;
    if (Buffer.byteLength(before) > maxLineBytes) return undefined;
    try {
      const directive = reader.read(before.endsWith("\r") ? before.slice(0, -1) : before);
      if (directive?.name === name) {
        return {
          value: cut(directive.value, " ").before,
          commandLine: directive.value,
          location: directive.location,
        };
      }
    } catch {
      return undefined; // a repeated directive is reported when the file is parsed
    }
  }
  return undefined;
}

function findInJson(name: DirectiveName, text: string, linesBefore: number): FoundDirective | undefined {
  if (!/^[\t\n\r ]*\{/.test(text)) return undefined;
  let document: Record<string, unknown>;
  try {
    document = JSON.parse(text);
  } catch {
    return undefined;
  }
  const value = Object.hasOwn(document, name) ? document[name] : undefined;
  if (typeof value !== "string") return undefined;
  return { value, commandLine: value, location: lineRanges(linesBefore, linesBefore) };
}
