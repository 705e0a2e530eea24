import { type Digest, isDigest } from "../core/values/digest.ts";
import { sourceError } from "./source-identifier.ts";

const digestLengths: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };

/** Checks a digest with the texts of opencontainers/go-digest. @throws BuildError `unsupported digest algorithm`, … */
export function parseGoDigest(text: string): Digest {
  if (isDigest(text)) return text;
  const at = text.indexOf(":");
  if (!/^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/.test(text)) {
    // A known algorithm with nothing after it is not even in the form.
    throw sourceError("invalid checksum digest format");
  }
  const length = digestLengths[text.slice(0, at)];
  if (length === undefined) throw sourceError("unsupported digest algorithm");
  throw sourceError(
    text.length - at - 1 === length ? "invalid checksum digest format" : "invalid checksum digest length",
  );
}

/** strconv.Atoi. @throws BuildError `strconv.Atoi: parsing "x": invalid syntax` */
export function goAtoi(text: string): number {
  if (!/^[+-]?[0-9]+$/.test(text)) throw numberError("Atoi", text, "invalid syntax");
  return inRange("Atoi", text, Number(text));
}

/** strconv.ParseInt with base 0: decimal, `0x`, `0o`, `0b`, or octal by a leading 0. */
export function goParseInt(text: string): number {
  const match = /^([+-]?)(0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|0[0-7_]*|[1-9][0-9_]*)$/.exec(text);
  const body = match?.[2];
  if (match === null || body === undefined || /__|_$/.test(body)) throw numberError("ParseInt", text, "invalid syntax");
  const digits = body.replaceAll("_", "");
  const value = Number(/^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits);
  return inRange("ParseInt", text, match[1] === "-" ? -value : value);
}

function inRange(name: string, text: string, value: number): number {
  if (Math.abs(value) > 2 ** 63) throw numberError(name, text, "value out of range");
  return value;
}

function numberError(name: string, text: string, reason: string): Error {
  return sourceError(`strconv.${name}: parsing ${JSON.stringify(text)}: ${reason}`);
}
