import type { BlobTransport } from "../core/seams/blob-transport.ts";
import type { Descriptor } from "../core/values/descriptor.ts";
import type { Digest } from "../core/values/digest.ts";
import type { LayerId } from "../core/values/layer.ts";
import { inSpan, startSpan } from "../telemetry/index.ts";

/** Spans for what comes from other agents, where it happens within a task. */
export class TracingBlobTransport implements BlobTransport {
  readonly #inner: BlobTransport;

  constructor(inner: BlobTransport) {
    this.#inner = inner;
  }

  async *readBlob(
    peerUrl: string,
    digest: Digest,
    offset: number,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const span = startSpan("read blob", {
      kind: "client",
      attributes: { "peer.url": peerUrl, "blob.digest": digest, "blob.offset": offset },
    });
    let bytes = 0;
    let failure: unknown;
    try {
      for await (const chunk of this.#inner.readBlob(peerUrl, digest, offset, signal)) {
        bytes += chunk.length;
        yield chunk;
      }
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      span.set({ "transfer.bytes": bytes });
      span.end(failure);
    }
  }

  async layerBlob(peerUrl: string, id: LayerId, signal: AbortSignal): Promise<Descriptor> {
    const attributes = { "peer.url": peerUrl, "layer.id": id };
    return inSpan("request layer", { kind: "client", attributes }, () => this.#inner.layerBlob(peerUrl, id, signal));
  }

  async checkBlob(peerUrl: string, digest: Digest, signal: AbortSignal): Promise<void> {
    const attributes = { "peer.url": peerUrl, "blob.digest": digest };
    return inSpan("request check", { kind: "client", attributes }, () =>
      this.#inner.checkBlob(peerUrl, digest, signal),
    );
  }

  ping(peerUrl: string, signal: AbortSignal): Promise<void> {
    return this.#inner.ping(peerUrl, signal);
  }
}
