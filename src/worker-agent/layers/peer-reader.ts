import type { BlobTransport } from "../../core/seams/blob-transport.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import type { Digest } from "../../core/values/digest.ts";
import type { LayerId } from "../../core/values/layer.ts";
import type { BlobSwarm } from "../../transfer/index.ts";
import { Pulse } from "./pulse.ts";
import type { BlobSource, ExpectedBlob } from "./resuming-read.ts";

/** A peer that says nothing for so long is left for others; when it is asked again after them it has more time. */
const silenceMs = 1000;
const patientMs = 10_000;

export interface PeerReaderOptions {
  readonly transport: BlobTransport;
  readonly swarm?: Pick<BlobSwarm, "takes" | "read" | "disown">;
  /** Milliseconds, of a clock that does not jump. */
  readonly now?: () => number;
}

export interface Peer {
  readonly name: string;
  readonly url: string;
}

/** Reads from agents, and leaves those that are not there any more. */
export class PeerReader {
  readonly #options: PeerReaderOptions;

  constructor(options: PeerReaderOptions) {
    this.#options = options;
  }

  /** As `BlobTransport.layerBlob`. @throws also BuildError Unavailable (infrastructure) when the peer falls silent */
  async layerBlob(url: string, id: LayerId, patient: boolean, signal: AbortSignal): Promise<Descriptor> {
    using pulse = this.#pulse(url, patient);
    return await this.#options.transport.layerBlob(url, id, AbortSignal.any([signal, pulse.signal]));
  }

  /**
   * Where a blob can be read from: a large one from all peers at once, others from one after the other. A piece of what they
   * give is the reader's until it asks for the next one.
   */
  sources(peers: readonly Peer[], blob: ExpectedBlob): BlobSource[] {
    const { swarm, transport } = this.#options;
    if (peers.length > 0 && swarm?.takes(blob)) {
      const urls = peers.map(({ url }) => url);
      return [
        {
          name: peers.map(({ name }) => name).join(", "),
          open: (offset, signal) => swarm.read(blob, urls, offset, signal),
          disown: (signal) => swarm.disown(blob.digest, urls, signal),
        },
      ];
    }
    return peers.map(({ name, url }) => {
      let patient = false;
      return {
        name,
        open: (offset, signal) => {
          const bytes = this.#read(url, blob.digest, offset, patient, signal);
          patient = true;
          return bytes;
        },
        disown: (signal) => transport.checkBlob(url, blob.digest, signal),
      };
    });
  }

  async *#read(
    url: string,
    digest: Digest,
    offset: number,
    patient: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    using pulse = this.#pulse(url, patient);
    const both = AbortSignal.any([signal, pulse.signal]);
    for await (const bytes of this.#options.transport.readBlob(url, digest, offset, both)) {
      pulse.heard();
      yield bytes;
    }
  }

  #pulse(url: string, patient: boolean): Pulse {
    const { transport, now = () => performance.now() } = this.#options;
    return new Pulse({
      ping: (signal) => transport.ping(url, signal),
      silenceMs: patient ? patientMs : silenceMs,
      now,
    });
  }
}
