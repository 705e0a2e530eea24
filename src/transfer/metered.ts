import type { TransferMeter } from "./transfer-meter.ts";

/** The same bytes, measured on their way. */
export async function* metered(
  bytes: AsyncIterable<Uint8Array>,
  meter: TransferMeter,
): AsyncGenerator<Uint8Array, void, undefined> {
  using _read = meter.read();
  for await (const chunk of bytes) {
    meter.arrived(chunk.length);
    yield chunk;
  }
}
