import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";

/**
 * Fields of one line of comma separated values; a field may stand in double quotes, with `""` for a quote
 * (tonistiigi/go-csvvalue). @throws BuildError with the text of Go's encoding/csv
 */
export function csvFields(text: string): string[] {
  const line = text.replace(/\r?\n$/, "");
  if (line === "") throw new BuildError(Code.Unknown, "EOF");
  const fields: string[] = [];
  let at = 0;
  while (true) {
    const { field, end } = line[at] === '"' ? quotedField(line, at) : bareField(line, at);
    fields.push(field);
    if (end >= line.length) return fields;
    at = end + 1;
    if (at === line.length) return [...fields, ""];
  }
}

interface Field {
  readonly field: string;
  /** Index of the comma behind the field, or the length of the line. */
  readonly end: number;
}

function bareField(line: string, start: number): Field {
  const comma = line.indexOf(",", start);
  const end = comma < 0 ? line.length : comma;
  const field = line.slice(start, end);
  const mark = field.indexOf('"');
  if (mark >= 0) throw csvError(line, start + mark, 'bare " in non-quoted-field');
  return { field, end };
}

function quotedField(line: string, start: number): Field {
  let field = "";
  let at = start + 1;
  while (true) {
    const mark = line.indexOf('"', at);
    if (mark < 0) throw csvError(line, at, 'extraneous or missing " in quoted-field');
    field += line.slice(at, mark);
    const next = line[mark + 1];
    if (next === undefined || next === ",") return { field, end: mark + 1 };
    if (next !== '"') throw csvError(line, mark, 'extraneous or missing " in quoted-field');
    field += '"';
    at = mark + 2;
  }
}

function csvError(line: string, index: number, what: string): BuildError {
  const column = Buffer.byteLength(line.slice(0, index)) + 1;
  return new BuildError(Code.Unknown, `parse error on line 1, column ${column}: ${what}`);
}
