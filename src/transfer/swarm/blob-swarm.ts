import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Logger } from "../../core/seams/logger.ts";
import { type Digest, digestHex } from "../../core/values/digest.ts";
import { Semaphore } from "../../util/semaphore.ts";
import { PiecePool } from "../piece-pool.ts";
import type { SwarmTransport } from "./messages.ts";
import { PartialBlob } from "./partial-blob.ts";
import { PeerBook } from "./peer-book.ts";
import { SwarmDownload, type SwarmMember } from "./swarm-download.ts";

/** Chunks on their way to this agent at a time; each takes a buffer of 1 to 8 MiB. */
const agentReads = 16;
/** How long a blob is kept for others after the last of them, or the last of this agent's own readers. */
const lingerMs = 30_000;
/** Smaller blobs arrive sooner than a swarm is told of. */
const smallestBlobBytes = 16 << 20;
const patienceMs = 10_000;

export interface BlobSwarmOptions {
  /** For blobs being received; emptied at open. */
  readonly directory: string;
  readonly transport: SwarmTransport;
  /** Blob server of this agent; undefined until it listens. */
  readonly url: () => string | undefined;
  readonly zone?: string;
  readonly logger: Logger;
  readonly smallestBlobBytes?: number;
  readonly lingerMs?: number;
}

export interface WantedBlob {
  readonly digest: Digest;
  readonly size: number;
}

interface Reception {
  readonly partial: Promise<PartialBlob>;
  opened?: PartialBlob;
  run?: { readonly download: SwarmDownload; readonly abort: AbortController; readonly failed: AbortController };
  /** Of all its runs so far. */
  ended: Promise<unknown>;
  readers: number;
  /** Somebody's bytes were wrong: what a later try fails for says less. */
  corruption?: BuildError;
  lingering?: NodeJS.Timeout;
}

/**
 * Large blobs from other agents: each is received once for all who want it here, in chunks from all agents that have any of
 * them, and given to others at once (ADR-0016). Kept for a while after the last reader, for those who still fetch it.
 */
export class BlobSwarm implements AsyncDisposable {
  readonly #options: BlobSwarmOptions;
  readonly #member: SwarmMember;
  readonly #receptions = new Map<Digest, Reception>();
  #next = 0;

  private constructor(options: BlobSwarmOptions) {
    this.#options = options;
    const now = () => performance.now();
    const { url, transport, logger, zone } = options;
    this.#member = {
      ...{ url, transport, logger, now },
      ...(zone === undefined ? {} : { zone }),
      book: new PeerBook(zone, now),
      reads: new Semaphore(agentReads),
      pool: new PiecePool(),
    };
  }

  static async open(options: BlobSwarmOptions): Promise<BlobSwarm> {
    await rm(options.directory, { recursive: true, force: true });
    await mkdir(options.directory, { recursive: true, mode: 0o700 });
    return new BlobSwarm(options);
  }

  /** Whether a blob of that size is worth a swarm. */
  takes(blob: WantedBlob): boolean {
    return blob.size >= (this.#options.smallestBlobBytes ?? smallestBlobBytes);
  }

  /**
   * The blob's bytes in order, each piece the caller's until it asks for the next one. Every chunk is verified against what
   * its holders say; the whole is for the reader to verify.
   * What was received stays when this ends early: the next call goes on from there.
   * @param holders blob servers of agents that have it whole
   * @throws BuildError DataLoss when wrong bytes came and nobody has others; else of the last peer
   */
  async *read(
    blob: WantedBlob,
    holders: readonly string[],
    offset: number,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const reception = this.#receive(blob);
    reception.readers++;
    try {
      const partial = await reception.partial;
      const failed = this.#run(reception, partial, holders);
      yield* partial.read(offset, AbortSignal.any([signal, failed]));
    } finally {
      reception.readers--;
      if (reception.readers === 0) this.#rest(blob.digest, reception);
    }
  }

  /** What there is of a blob that was received, or is being. Whoever asks for it keeps it for a while longer. */
  received(digest: Digest): PartialBlob | undefined {
    const reception = this.#receptions.get(digest);
    reception?.lingering?.refresh();
    return reception?.opened;
  }

  /** Throws away a blob whose bytes are not what its digest says, and has its holders look at theirs. */
  async disown(digest: Digest, holders: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#forget(digest);
    const check = (url: string) => this.#options.transport.checkBlob(url, digest, signal);
    await Promise.allSettled(holders.map(check));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#receptions.keys()].map((digest) => this.#forget(digest)));
  }

  #receive(blob: WantedBlob): Reception {
    const known = this.#receptions.get(blob.digest);
    if (known !== undefined) {
      clearTimeout(known.lingering);
      delete known.lingering;
      return known;
    }
    const path = join(this.#options.directory, `${digestHex(blob.digest)}-${this.#next++}`);
    const partial = PartialBlob.create(blob.digest, blob.size, path, this.#member.pool);
    const reception: Reception = { partial, ended: Promise.resolve(), readers: 0 };
    this.#receptions.set(blob.digest, reception);
    reception.partial.then(
      (partial) => {
        reception.opened = partial;
      },
      () => this.#receptions.delete(blob.digest),
    );
    return reception;
  }

  /** Sees to it that the blob is being received. @returns aborts with the error when that fails */
  #run(reception: Reception, partial: PartialBlob, holders: readonly string[]): AbortSignal {
    reception.run?.download.addHolders(holders);
    if (reception.run !== undefined) return reception.run.failed.signal;
    const failed = new AbortController();
    if (partial.have.complete) return failed.signal;
    const abort = new AbortController();
    const download = new SwarmDownload(partial, this.#member, patienceMs);
    download.addHolders(holders);
    const run = { download, abort, failed };
    reception.run = run;
    const ended = download
      .run(abort.signal)
      .catch((error: unknown) => {
        if (error instanceof BuildError && error.code === Code.DataLoss) reception.corruption = error;
        failed.abort(reception.corruption ?? error);
      })
      .finally(() => {
        if (reception.run === run) delete reception.run;
      });
    reception.ended = Promise.all([reception.ended, ended]);
    return failed.signal;
  }

  /** Nobody here reads it any more. */
  #rest(digest: Digest, reception: Reception): void {
    reception.run?.abort.abort(new BuildError(Code.Canceled, "nobody wants the blob any more"));
    delete reception.run;
    if ([...this.#receptions.values()].every(({ readers }) => readers === 0)) this.#member.pool.clear();
    if (this.#receptions.get(digest) !== reception) return;
    reception.lingering = setTimeout(() => void this.#forget(digest), this.#options.lingerMs ?? lingerMs);
    reception.lingering.unref();
  }

  async #forget(digest: Digest): Promise<void> {
    const reception = this.#receptions.get(digest);
    if (reception === undefined) return;
    this.#receptions.delete(digest);
    clearTimeout(reception.lingering);
    reception.run?.abort.abort(new BuildError(Code.Canceled, "the blob is given up"));
    await reception.ended;
    await (await reception.partial)[Symbol.asyncDispose]();
  }
}
