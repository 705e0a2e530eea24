import type { Range } from "../../../api/gen/ops.ts";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { lineRanges } from "../dockerfile-error.ts";
import { trimSpaceStart } from "../text.ts";

export type DirectiveName = "syntax" | "escape" | "check";

export interface Directive {
  readonly name: DirectiveName;
  readonly value: string;
  readonly location: readonly Range[];
}

const pattern = /^([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=([^\n]+)$/;
const blanks = "\t\n\f\r ";

function directiveName(text: string): DirectiveName | undefined {
  return text === "syntax" || text === "escape" || text === "check" ? text : undefined;
}

/**
 * Reads `# name=value` lines at the top of a file, one line at a time, until the first line which is none; later lines are
 * ordinary comments (BuildKit frontend/dockerfile/parser/directives.go).
 */
export class DirectiveReader {
  readonly #commentToken: string;
  readonly #seen = new Set<DirectiveName>();
  #line: number;
  #done = false;

  /** @param linesBefore lines of the file which are not given to `read`. */
  constructor(commentToken = "#", linesBefore = 0) {
    this.#commentToken = commentToken;
    this.#line = linesBefore;
  }

  get done(): boolean {
    return this.#done;
  }

  /** @throws BuildError when a directive is repeated. */
  read(line: string): Directive | undefined {
    this.#line++;
    if (this.#done) return undefined;
    const directive = this.#parse(line);
    if (directive === undefined) {
      this.#done = true;
      return undefined;
    }
    if (this.#seen.has(directive.name)) {
      throw new BuildError(Code.Unknown, `only one ${directive.name} parser directive can be used`);
    }
    this.#seen.add(directive.name);
    return directive;
  }

  #parse(line: string): Directive | undefined {
    if (!line.startsWith(this.#commentToken)) return undefined;
    const match = pattern.exec(trimSpaceStart(line.slice(this.#commentToken.length)));
    const name = directiveName(match?.[1]?.toLowerCase() ?? "");
    if (name === undefined) return undefined;
    return { name, value: trimValue(match?.[2] ?? ""), location: lineRanges(this.#line, this.#line) };
  }
}

/** The text without blanks around it; of nothing but blanks the last one stays. */
function trimValue(text: string): string {
  let start = 0;
  while (start < text.length - 1 && blanks.includes(text.charAt(start))) start++;
  let end = text.length;
  while (end > start + 1 && blanks.includes(text.charAt(end - 1))) end--;
  return text.slice(start, end);
}
