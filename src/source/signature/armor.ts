import { sourceError } from "../source-identifier.ts";

export interface ArmorBlock {
  /** `PGP SIGNATURE`, `SSH SIGNATURE` … */
  readonly type: string;
  readonly data: Uint8Array;
}

/** The blocks of a text in ASCII armor (RFC 9580, 6.2). Its check sums say nothing that a signature does not. @throws BuildError */
export function decodeArmor(text: string): readonly ArmorBlock[] {
  const blocks: ArmorBlock[] = [];
  const begin = /^-----BEGIN ([A-Z ]+)-----[ \t]*$/gm;
  for (let match = begin.exec(text); match !== null; match = begin.exec(text)) {
    const [, type = ""] = match;
    const end = text.indexOf(`\n-----END ${type}-----`, begin.lastIndex);
    if (end < 0) break;
    blocks.push({ type, data: decodeBody(type, text.slice(begin.lastIndex, end)) });
    begin.lastIndex = end;
  }
  return blocks;
}

function decodeBody(type: string, body: string): Uint8Array {
  const lines = body.split("\n").map((line) => line.trim());
  // Headers, as "Version: …", end with an empty line.
  const headers = lines.findLastIndex((line) => line.includes(": "));
  const base64 = lines
    .slice(headers + 1)
    .filter((line) => !/^=[A-Za-z0-9+/]{4}$/.test(line))
    .join("");
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) throw sourceError(`invalid base64 in ${type}`);
  return Buffer.from(base64, "base64");
}
