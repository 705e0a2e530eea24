import { Readable, type Transform } from "node:stream";
import { pipeline } from "node:stream/promises";

/** A stream's bytes after a transform. Errors of either come out here; stopping early ends both. */
export async function* through(bytes: AsyncIterable<Uint8Array>, transform: Transform): AsyncGenerator<Uint8Array> {
  const feeding = pipeline(Readable.from(bytes, { objectMode: false, highWaterMark: 1024 * 1024 }), transform);
  feeding.catch(() => {});
  for await (const chunk of transform) yield chunk as Uint8Array;
  await feeding;
}
