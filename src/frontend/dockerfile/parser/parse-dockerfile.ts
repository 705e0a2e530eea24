import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { atOnce } from "../../../util/turns.ts";
import { lineRanges, withLocation } from "../dockerfile-error.ts";
import { isSpace, trimSpace, trimSpaceStart } from "../text.ts";
import type { DockerfileAst, EscapeToken, Heredoc, InstructionNode, ParseWarning } from "./ast.ts";
import { DirectiveReader } from "./directives.ts";
import { heredocsOfLine } from "./heredoc.ts";
import { LineReader, maxLineBytes } from "./line-reader.ts";
import { type SplitLine, splitLine } from "./split-line.ts";

/**
 * Splits a Dockerfile into instructions (BuildKit frontend/dockerfile/parser/parser.go).
 *
 * @throws DockerfileError with the lines at fault.
 */
export function parseDockerfile(source: Uint8Array): DockerfileAst {
  return atOnce(parseSteps(source));
}

/** The same, line by line. */
export function parseSteps(source: Uint8Array): Generator<void, DockerfileAst> {
  return new DockerfileParser(new TextDecoder().decode(source)).parse();
}

/** Instructions which may carry heredocs, also inside an ONBUILD. */
const heredocInstructions = new Set(["add", "copy", "run"]);

class DockerfileParser {
  readonly #lines: LineReader;
  readonly #directives = new DirectiveReader();
  readonly #instructions: InstructionNode[] = [];
  readonly #warnings: ParseWarning[] = [];
  #escapeToken: EscapeToken = "\\";
  /** Lines read so far: the 1-based number of the last one. */
  #line = 0;
  #comments: string[] = [];

  constructor(text: string) {
    this.#lines = new LineReader(text);
  }

  *parse(): Generator<void, DockerfileAst> {
    for (let line = this.#lines.next(); line !== undefined; line = this.#lines.next()) {
      yield;
      const content = trimSpaceStart(trimLineEnd(line));
      if (isComment(line)) this.#addComment(line);
      if (this.#readDirective(content)) this.#comments.pop();
      this.#line++;
      if (!content.startsWith("#")) this.#readInstruction(content);
    }
    if (this.#instructions.length === 0) throw this.#fault("file with no instructions", this.#line);
    if (this.#lines.tooLong) throw this.#lineTooLong(this.#line);
    return { instructions: this.#instructions, escapeToken: this.#escapeToken, warnings: this.#warnings };
  }

  #addComment(line: string): void {
    const comment = trimSpace(line.slice(1));
    if (comment === "") this.#comments = [];
    else this.#comments.push(comment);
  }

  #readDirective(content: string): boolean {
    try {
      const directive = this.#directives.read(content);
      if (directive?.name === "escape") this.#escapeToken = parseEscapeToken(directive.value);
      return directive !== undefined;
    } catch (error) {
      // BuildKit reports the line before the directive.
      throw withLocation(error, lineRanges(this.#line, this.#line));
    }
  }

  /** Reads the instruction that starts with this line, with its continuation lines and heredocs. */
  #readInstruction(firstLine: string): void {
    const startLine = this.#line;
    let { text, continues } = this.#trimContinuation(firstLine);
    if (!continues && text === "") return;
    let hasEmptyContinuation = false;
    while (continues) {
      const line = this.#lines.next();
      if (line === undefined) {
        if (this.#lines.tooLong) throw this.#lineTooLong(this.#line + 1);
        break;
      }
      this.#line++;
      if (isComment(line)) continue;
      const content = trimLineEnd(line);
      if (trimSpaceStart(content) === "") {
        hasEmptyContinuation = true;
        continue;
      }
      const part = this.#trimContinuation(content);
      text += part.text;
      continues = part.continues;
    }
    if (hasEmptyContinuation) this.#warnEmptyContinuation(text);

    let split: SplitLine;
    const heredocs: Heredoc[] = [];
    try {
      split = splitLine(text, this.#escapeToken);
      if (mayHaveHeredocs(split) && text.includes("<<")) {
        for (const heredoc of heredocsOfLine(text)) heredocs.push(this.#readHeredoc(heredoc));
      }
    } catch (error) {
      throw withLocation(error, lineRanges(startLine, this.#line));
    }
    this.#instructions.push({
      name: split.name,
      flags: split.flags,
      args: split.args,
      json: split.json,
      heredocs,
      original: text,
      startLine,
      endLine: this.#line,
      location: lineRanges(startLine, this.#line),
      comments: this.#comments,
    });
    this.#comments = [];
  }

  #readHeredoc(heredoc: Heredoc): Heredoc {
    let content = "";
    for (let line = this.#lines.next(); line !== undefined; line = this.#lines.next()) {
      this.#line++;
      const candidate = trimLineEnd(line);
      if ((heredoc.chomp ? candidate.replace(/^\t+/, "") : candidate) === heredoc.name) return { ...heredoc, content };
      content += line;
    }
    throw new BuildError(Code.Unknown, "unterminated heredoc");
  }

  /** An escape token at the end of a line, unless it is itself escaped, joins the next line. */
  #trimContinuation(line: string): { readonly text: string; readonly continues: boolean } {
    let end = line.length;
    while (line[end - 1] === " " || line[end - 1] === "\t") end--;
    if (line[end - 1] !== this.#escapeToken || line[end - 2] === this.#escapeToken) {
      return { text: line, continues: false };
    }
    return { text: line.slice(0, end - 1), continues: true };
  }

  #warnEmptyContinuation(text: string): void {
    const position = { line: this.#line, character: 0 };
    this.#warnings.push({
      short: `Empty continuation line found in: ${text}`,
      detail: ["Empty continuation lines will become errors in a future release"],
      url: "https://docs.docker.com/go/dockerfile/rule/no-empty-continuation/",
      location: { start: position, end: position },
    });
  }

  /** BuildKit reports the line before, but within an instruction the line itself. */
  #lineTooLong(line: number): Error {
    return this.#fault(`dockerfile line greater than max allowed size of ${maxLineBytes}`, line);
  }

  #fault(message: string, line: number): Error {
    return withLocation(new BuildError(Code.Unknown, message), lineRanges(line, line));
  }
}

function parseEscapeToken(value: string): EscapeToken {
  if (value === "\\" || value === "`") return value;
  throw new BuildError(Code.Unknown, `invalid escape token '${value}' does not match \` or \\`);
}

function mayHaveHeredocs(line: SplitLine): boolean {
  const target = line.name.toLowerCase() === "onbuild" ? (line.trigger ?? line) : line;
  return heredocInstructions.has(target.name.toLowerCase()) && !target.json;
}

function trimLineEnd(line: string): string {
  let end = line.length;
  while (line[end - 1] === "\n" || line[end - 1] === "\r") end--;
  return line.slice(0, end);
}

function isComment(line: string): boolean {
  let at = 0;
  while (at < line.length && isSpace(line.charAt(at))) at++;
  return line.charAt(at) === "#";
}
