import { BuildError } from "../errors/build-error.ts";
import { Code } from "../errors/code.ts";
import type { Compression, CompressionType } from "./task.ts";

const truths = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const lies = new Set(["0", "f", "F", "FALSE", "false", "False"]);

/** Go's strconv.ParseBool. @throws BuildError InvalidArgument */
export function parseBool(key: string, value: string): boolean {
  if (truths.has(value)) return true;
  if (lies.has(value)) return false;
  throw new BuildError(
    Code.InvalidArgument,
    `non-bool value specified for ${key}: strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`,
  );
}

const types = new Set<string>(["uncompressed", "gzip", "zstd", "estargz"]);

/** `compression`, `compression-level`, `force-compression` of image and cache exporters. @throws BuildError InvalidArgument */
export function parseCompression(
  attrs: Readonly<Record<string, string>>,
): Omit<Compression, "ociMediaTypes" | "rewriteTimestamp"> {
  const type = attrs["compression"] ?? "gzip";
  if (!types.has(type)) throw new BuildError(Code.Unknown, `unsupported compression type ${type}`);
  const levelText = attrs["compression-level"];
  if (levelText !== undefined && !/^[+-]?\d+$/.test(levelText)) {
    throw new BuildError(
      Code.Unknown,
      `non-int value ${levelText} specified for compression-level: strconv.ParseInt: parsing ${JSON.stringify(levelText)}: invalid syntax`,
    );
  }
  const forceText = attrs["force-compression"];
  let force = false;
  if (forceText !== undefined) {
    try {
      force = forceText === "" ? true : parseBool("force-compression", forceText);
    } catch (cause) {
      throw new BuildError(
        Code.Unknown,
        `non-bool value ${forceText} specified for force-compression: ${(cause as Error).message.replace(/^[^:]*: /, "")}`,
        { cause },
      );
    }
  }
  return {
    type: type as CompressionType,
    force,
    ...(levelText === undefined ? {} : { level: Number(levelText) }),
  };
}
