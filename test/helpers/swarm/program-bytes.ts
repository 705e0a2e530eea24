import { open } from "node:fs/promises";

/** Bytes of the program that runs this, as often as it takes: they compress as those of most layers do. */
export async function* programBytes(size: number, seed: number): AsyncGenerator<Uint8Array> {
  await using file = await open(process.execPath);
  const whole = (await file.stat()).size;
  let from = (seed * 7_654_321) % whole;
  for (let at = 0; at < size; ) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(Math.min(1 << 20, size - at)), { position: from });
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
    from = from + bytesRead >= whole ? 0 : from + bytesRead;
  }
}
