import { TarReader } from "../tar/index.ts";

const blockBytes = 512;

/**
 * What an eStargz blob was made from: its archive without the one that follows, with the table of contents (BuildKit
 * util/compression/estargz.go decompressEStargz). The bytes stay what they are.
 * @param bytes the whole blob, uncompressed
 */
export async function* withoutToc(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let read: Uint8Array[] = [];
  let before = 0;
  const reader = new TarReader(bytes, {}, (part) => read.push(part.slice()));
  const take = () => {
    const taken = Buffer.concat(read);
    read = [];
    before += taken.length;
    return taken;
  };
  try {
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      yield take();
      for await (const _data of entry.content()) yield take();
    }
    const start = before;
    const end = take();
    yield end.subarray(0, zeroBytes(end, (blockBytes - (start % blockBytes)) % blockBytes));
  } finally {
    await reader.cancel();
  }
}

/** Where the zeros end, in whole blocks, which begin after the padding of the last entry. */
function zeroBytes(bytes: Uint8Array, firstBlock: number): number {
  const other = bytes.findIndex((byte, index) => index >= firstBlock && byte !== 0);
  return other < 0 ? bytes.length : other - ((other - firstBlock) % blockBytes);
}
