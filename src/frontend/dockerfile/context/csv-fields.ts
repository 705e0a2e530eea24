import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";

/** Fields of one line of RFC 4180 CSV. @throws BuildError when quotes do not pair */
export function csvFields(line: string): string[] {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (line[at] !== '"') {
      const comma = line.indexOf(",", at);
      const field = line.slice(at, comma < 0 ? line.length : comma);
      if (field.includes('"')) throw malformed('bare " in non-quoted-field');
      fields.push(field);
      if (comma < 0) return fields;
      at = comma + 1;
      continue;
    }
    const quoted = /^"((?:[^"]|"")*)"(,|$)/s.exec(line.slice(at));
    if (quoted === null) throw malformed('extraneous or missing " in quoted-field');
    fields.push((quoted[1] ?? "").replaceAll('""', '"'));
    if (quoted[2] === "") return fields;
    at += quoted[0].length;
  }
}

function malformed(message: string): BuildError {
  return new BuildError(Code.InvalidArgument, `parse error: ${message}`);
}
