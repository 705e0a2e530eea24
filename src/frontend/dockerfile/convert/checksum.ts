import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { type Digest, isDigest } from "../../../core/values/digest.ts";

/** Value of `--checksum` for a URL. @throws BuildError with the text of go-digest */
export function parseChecksum(text: string): Digest | undefined {
  if (text === "" || isDigest(text)) return text === "" ? undefined : (text as Digest);
  const [, algorithm, hex] = /^([a-z0-9]+(?:[+._-][a-z0-9]+)*):([A-Za-z0-9=_-]+)$/.exec(text) ?? [];
  if (algorithm === undefined || hex === undefined) throw invalid("invalid checksum digest format");
  const lengths: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };
  const length = lengths[algorithm];
  if (length === undefined) throw invalid("unsupported digest algorithm");
  throw invalid(hex.length === length ? "invalid checksum digest format" : "invalid checksum digest length");
}

function invalid(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
