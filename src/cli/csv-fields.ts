import { UsageError } from "./usage-error.ts";

/** The fields of one CSV line (RFC 4180): `a,"b,c",d` → `a`, `b,c`, `d`. @throws UsageError on quotes that do not match */
export function csvFields(line: string): readonly string[] {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (line[at] === '"') {
      let field = "";
      at++;
      for (;;) {
        const quote = line.indexOf('"', at);
        if (quote < 0) throw new UsageError(`missing closing quote in ${JSON.stringify(line)}`);
        field += line.slice(at, quote);
        at = quote + 1;
        if (line[at] !== '"') break;
        field += '"';
        at++;
      }
      if (at < line.length && line[at] !== ",")
        throw new UsageError(`text after a quoted field in ${JSON.stringify(line)}`);
      fields.push(field);
    } else {
      const comma = line.indexOf(",", at);
      const end = comma < 0 ? line.length : comma;
      const field = line.slice(at, end);
      if (field.includes('"')) throw new UsageError(`quote inside an unquoted field of ${JSON.stringify(line)}`);
      fields.push(field);
      at = end;
    }
    if (at >= line.length) return fields;
    at++;
  }
}

/** `key=value` fields of a CSV line; keys in lower case. @throws UsageError naming a field without `=` */
export function csvPairs(line: string): readonly (readonly [key: string, value: string])[] {
  return csvFields(line).map((field) => {
    const equals = field.indexOf("=");
    if (equals < 0) throw new UsageError(`invalid value ${field}: expected key=value`);
    return [field.slice(0, equals).toLowerCase(), field.slice(equals + 1)];
  });
}

/** Go's strconv.ParseBool; undefined for other texts. */
export function parseBool(text: string | undefined): boolean | undefined {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(text ?? "")) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(text ?? "")) return false;
  return undefined;
}
