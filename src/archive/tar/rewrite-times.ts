import { encodeTarHeader, tarTrailer } from "./encode-header.ts";
import { isHeaderOnly, paddingBytes, type TarHeader, TarType } from "./tar-header.ts";
import { TarReader } from "./tar-reader.ts";

/**
 * The archive with every time later than `epochSeconds` set to it: how BuildKit rewrites layers it has as blobs
 * (util/converter/converter.go, tarconverter). Everything else is written again as read.
 */
export async function* rewriteTarTimes(
  bytes: AsyncIterable<Uint8Array>,
  epochSeconds: number,
): AsyncGenerator<Uint8Array> {
  const latestNs = BigInt(epochSeconds) * 1_000_000_000n;
  const reader = new TarReader(bytes);
  try {
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      const header = clampTimes(entry.header, latestNs);
      yield encodeTarHeader(header);
      if (isHeaderOnly(header.type) || header.type === TarType.Global) continue;
      for await (const chunk of entry.content()) yield chunk;
      if (paddingBytes(header.size) > 0) yield new Uint8Array(paddingBytes(header.size));
    }
    yield tarTrailer;
  } finally {
    await reader.cancel();
  }
}

function clampTimes(header: TarHeader, latestNs: bigint): TarHeader {
  const clamp = (timeNs: bigint) => (timeNs > latestNs ? latestNs : timeNs);
  return {
    ...header,
    mtimeNs: clamp(header.mtimeNs),
    ...(header.atimeNs === undefined ? {} : { atimeNs: clamp(header.atimeNs) }),
    ...(header.ctimeNs === undefined ? {} : { ctimeNs: clamp(header.ctimeNs) }),
  };
}
