import type { BlobTransport } from "../core/seams/blob-transport.ts";
import type { CacheMountStream, CacheMountTransport } from "../core/seams/cache-mount-transport.ts";
import type { Descriptor } from "../core/values/descriptor.ts";
import type { Digest } from "../core/values/digest.ts";
import type { LayerId } from "../core/values/layer.ts";
import { metered } from "./metered.ts";
import type { SwarmAnswer, SwarmAsk, SwarmTransport } from "./swarm/index.ts";
import type { TransferMeter } from "./transfer-meter.ts";

type Transport = BlobTransport & CacheMountTransport & SwarmTransport;

/** Measures what comes from other agents. */
export class MeteredBlobTransport implements Transport {
  readonly #inner: Transport;
  readonly #meter: TransferMeter;

  constructor(inner: Transport, meter: TransferMeter) {
    this.#inner = inner;
    this.#meter = meter;
  }

  readBlob(peerUrl: string, digest: Digest, offset: number, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return metered(this.#inner.readBlob(peerUrl, digest, offset, signal), this.#meter);
  }

  layerBlob(peerUrl: string, id: LayerId, signal: AbortSignal): Promise<Descriptor> {
    return this.#inner.layerBlob(peerUrl, id, signal);
  }

  checkBlob(peerUrl: string, digest: Digest, signal: AbortSignal): Promise<void> {
    return this.#inner.checkBlob(peerUrl, digest, signal);
  }

  ping(peerUrl: string, signal: AbortSignal): Promise<void> {
    return this.#inner.ping(peerUrl, signal);
  }

  async readCacheMount(peerUrl: string, entryId: string, signal: AbortSignal): Promise<CacheMountStream> {
    const { version, bytes } = await this.#inner.readCacheMount(peerUrl, entryId, signal);
    return { version, bytes: metered(bytes, this.#meter) };
  }

  ask(peerUrl: string, digest: Digest, ask: SwarmAsk, signal: AbortSignal): Promise<SwarmAnswer> {
    return this.#inner.ask(peerUrl, digest, ask, signal);
  }

  async readInto(
    peerUrl: string,
    digest: Digest,
    start: number,
    into: readonly Uint8Array[],
    signal: AbortSignal,
    onBytes: (piece: Uint8Array) => void,
  ): Promise<void> {
    using _read = this.#meter.read();
    await this.#inner.readInto(peerUrl, digest, start, into, signal, (piece) => {
      this.#meter.arrived(piece.length);
      onBytes(piece);
    });
  }
}
