import type { BlobOrigin } from "../../core/values/layer.ts";
import { metered, type TransferMeter } from "../../transfer/index.ts";
import type { OriginReader } from "./origin-reader.ts";

/** Measures what comes from outside the fleet. */
export class MeteredOriginReader implements OriginReader {
  readonly #inner: OriginReader;
  readonly #meter: TransferMeter;

  constructor(inner: OriginReader, meter: TransferMeter) {
    this.#inner = inner;
    this.#meter = meter;
  }

  open(origin: BlobOrigin, options: Parameters<OriginReader["open"]>[1]): AsyncIterable<Uint8Array> {
    return metered(this.#inner.open(origin, options), this.#meter);
  }
}
