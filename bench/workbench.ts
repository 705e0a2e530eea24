import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BuildClient } from "./clients/build-client.ts";
import { writeRootFilesystem } from "./data/root-filesystem.ts";
import { writeBigTree, writeManyFiles } from "./data/trees.ts";
import type { Endpoint } from "./endpoints/endpoint.ts";
import { startStandaloneEndpoint } from "./endpoints/standalone.ts";
import type { Figure, Unit } from "./figure.ts";
import { startRegistry } from "./processes/registry.ts";

export interface WorkbenchOptions {
  /** Scratch space, which the caller removes. */
  readonly directory: string;
  readonly client: BuildClient;
  /** Address to compare with. */
  readonly peer: string | undefined;
  readonly peerPid: number | undefined;
  /** Address of a running Buildfleet; undefined = one is started when a case needs it. */
  readonly ours: string | undefined;
  readonly runs: number | undefined;
  readonly scale: number;
  readonly say: (line: string) => void;
}

/** Takes the time of one step of a round. */
export type Time = (phase: string, work: () => Promise<unknown>) => Promise<void>;

export interface CompareOptions {
  /** Without the peer: what it would take too long for. */
  readonly alone?: boolean;
}

/** What cases work with. Data and servers are made when first asked for. */
export class Workbench implements AsyncDisposable {
  readonly directory: string;
  readonly client: BuildClient;
  readonly peer: Endpoint | undefined;
  readonly scale: number;
  readonly say: (line: string) => void;
  readonly #runs: number | undefined;
  readonly #ours: string | undefined;
  readonly #owned = new AsyncDisposableStack();
  readonly #made = new Map<string, Promise<unknown>>();

  constructor({ directory, client, peer, peerPid, ours, runs, scale, say }: WorkbenchOptions) {
    this.directory = directory;
    this.client = client;
    this.peer = peer === undefined ? undefined : { name: "peer", address: peer, pid: peerPid };
    this.scale = scale;
    this.say = say;
    this.#runs = runs;
    this.#ours = ours;
  }

  /** Rounds to run where a case would run `usual`. */
  rounds(usual: number): number {
    return this.#runs ?? usual;
  }

  /** Buildfleet on one machine. */
  ours(): Promise<Endpoint> {
    return this.once("ours", async () =>
      this.#ours === undefined
        ? this.#owned.use(await startStandaloneEndpoint(this.directory))
        : { name: "ours", address: this.#ours },
    );
  }

  /** `127.0.0.1:port` of an image registry. */
  registry(): Promise<string> {
    return this.once("registry", async () => {
      const registry = this.#owned.use(await startRegistry(join(this.directory, "registry")));
      return registry.address;
    });
  }

  /** Reference of a small image with a shell. */
  baseImage(): Promise<string> {
    return this.once("base image", async () => {
      const context = join(this.directory, "root-filesystem");
      await writeRootFilesystem(context);
      return this.pushImage("base", context, "FROM scratch\nCOPY . /\nENV PATH=/bin\n");
    });
  }

  /** Builds and pushes an image. @returns its reference */
  async pushImage(name: string, context: string, dockerfile: string): Promise<string> {
    const reference = `${await this.registry()}/bench/${name}:latest`;
    await this.client.build(await this.ours(), {
      dockerfile: await this.dockerfile(dockerfile),
      context,
      output: { type: "image", attributes: { name: reference, push: "true" } },
    });
    return reference;
  }

  /** Directory of five subdirectories `0` … `4` with 500 MB in large files. */
  bigTree(): Promise<string> {
    return this.once("big tree", async () => {
      const directory = join(this.directory, "big-tree");
      const bytes = await writeBigTree(directory, 500e6 * this.scale, 5);
      this.say(`  data: ${Math.round(bytes / 1e6)} MB in large files`);
      return directory;
    });
  }

  /** Directory with 20,000 small files. */
  manyFiles(): Promise<string> {
    return this.once("many files", async () => {
      const directory = join(this.directory, "many-files");
      const files = Math.round(20_000 * this.scale);
      const bytes = await writeManyFiles(directory, files);
      this.say(`  data: ${files} files of ${Math.round(bytes / files)} bytes on average`);
      return directory;
    });
  }

  /** A new directory with this Dockerfile. */
  async dockerfile(text: string): Promise<string> {
    const directory = join(this.directory, "dockerfiles", randomBytes(6).toString("hex"));
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, "Dockerfile"), text);
    return directory;
  }

  /**
   * Runs `round` on both sides in turn, `rounds` times, taking turns in who comes first.
   * @returns a figure for each phase that it took the time of, in seconds; where the processes of the daemons are known, also
   * the time that they computed meanwhile
   */
  async compare(
    name: string,
    rounds: number,
    round: (endpoint: Endpoint, time: Time) => Promise<void>,
    { alone = false }: CompareOptions = {},
  ): Promise<Figure[]> {
    const endpoints = [await this.ours(), ...(this.peer === undefined || alone ? [] : [this.peer])];
    const samples = new Map<string, { ours: number[]; peer: number[] }>();
    const note = (phase: string, endpoint: Endpoint, seconds: number) => {
      const both = samples.get(phase) ?? { ours: [], peer: [] };
      both[endpoint.name].push(seconds);
      samples.set(phase, both);
    };
    for (let index = 0; index < rounds; index++) {
      for (const endpoint of index % 2 === 0 ? endpoints : endpoints.toReversed()) {
        await round(endpoint, async (phase, work) => {
          const computed = endpoint.pid === undefined ? undefined : await computedSeconds(endpoint.pid);
          const seconds = await secondsOf(work);
          this.say(
            `  ${phase === "" ? "" : `${phase}, `}round ${index + 1}, ${endpoint.name}: ${seconds.toFixed(3)} s`,
          );
          note(phase, endpoint, seconds);
          if (endpoint.pid === undefined || computed === undefined) return;
          note(phase === "" ? "CPU" : `${phase}, CPU`, endpoint, (await computedSeconds(endpoint.pid)) - computed);
        });
      }
    }
    return [...samples].map(([phase, { ours, peer }]) => ({
      name: phase === "" ? name : `${name}: ${phase}`,
      unit: "s",
      ours,
      ...(peer.length === 0 ? {} : { peer }),
    }));
  }

  /** Runs `sample` `rounds` times, after once for nothing. */
  async sample(name: string, unit: Unit, rounds: number, sample: () => Promise<number>): Promise<Figure> {
    await sample();
    const ours: number[] = [];
    for (let index = 0; index < rounds; index++) ours.push(await sample());
    return { name, unit, ours };
  }

  /** Makes something once in the life of this workbench. */
  once<T>(name: string, make: () => Promise<T>): Promise<T> {
    const made = (this.#made.get(name) as Promise<T> | undefined) ?? make();
    this.#made.set(name, made);
    return made;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}

/** Time that a daemon has computed, without processes it has started. */
export async function computedSeconds(pid: number): Promise<number> {
  // proc(5): utime and stime are fields 14 and 15; the name before them may hold anything.
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** USER_HZ, the same on all of Linux. */
const ticksPerSecond = 100;

export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}
