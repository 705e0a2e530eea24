import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BlobStat } from "../../../src/core/seams/content-store.ts";
import type { WantedBlob } from "../../../src/transfer/index.ts";
import type { NetworkHost } from "../sandbox/network.ts";

export type BlobContent = "incompressible" | "program";

export type PeerRequest =
  | { readonly type: "make"; readonly size: number; readonly seed: number; readonly content: BlobContent }
  | {
      readonly type: "fetch";
      readonly blob: WantedBlob;
      readonly holders: readonly string[];
      /** Whole from the first holder, in one piece. */
      readonly plain?: boolean;
    };

export interface PeerAnswer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

export interface Fetched {
  readonly seconds: number;
  /** Of the process, whatever else it did meanwhile. */
  readonly cpuSeconds: number;
}

/** A process on a host of a network which takes part in the transfer of blobs as an agent does. */
export class SwarmPeer implements AsyncDisposable {
  readonly url: string;
  readonly host: NetworkHost;
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #waiting: Map<number, (answer: PeerAnswer) => void>;
  #next = 1;

  private constructor(
    url: string,
    host: NetworkHost,
    child: ChildProcess,
    directory: string,
    waiting: Map<number, (answer: PeerAnswer) => void>,
  ) {
    this.url = url;
    this.host = host;
    this.#child = child;
    this.#directory = directory;
    this.#waiting = waiting;
  }

  static async start(host: NetworkHost, parent = tmpdir()): Promise<SwarmPeer> {
    const directory = await mkdtemp(join(parent, "buildfleet-swarm-"));
    const entry = fileURLToPath(new URL("./swarm-peer-entry.ts", import.meta.url));
    const [command = "", ...args] = [...host.command, process.execPath, entry, directory, host.address];
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    const waiting = new Map<number, (answer: PeerAnswer) => void>();
    const ready = new Promise<PeerAnswer>((resolve) => waiting.set(0, resolve));
    child.on("message", (answer: PeerAnswer) => {
      waiting.get(answer.id)?.(answer);
      waiting.delete(answer.id);
    });
    child.once("exit", () => {
      for (const [id, settle] of waiting) settle({ id, error: "the peer has ended" });
      waiting.clear();
    });
    const { value, error } = await ready;
    if (error !== undefined) throw new Error(error);
    return new SwarmPeer(value as string, host, child, directory, waiting);
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** Stores a blob. */
  async make(size: number, seed: number, content: BlobContent = "incompressible"): Promise<WantedBlob> {
    const { digest } = (await this.#ask({ type: "make", size, seed, content })) as BlobStat;
    return { digest, size };
  }

  /** Fetches a blob and verifies it. */
  async fetch(blob: WantedBlob, holders: readonly string[], plain = false): Promise<Fetched> {
    return (await this.#ask({ type: "fetch", blob, holders, plain })) as Fetched;
  }

  /** Ends it at once, as a crash would. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGKILL");
      await once(this.#child, "exit");
    }
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #ask(request: PeerRequest): Promise<unknown> {
    const id = this.#next++;
    const answer = await new Promise<PeerAnswer>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child.send({ id, request });
    });
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.value;
  }
}
