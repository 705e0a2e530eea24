import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { mountsUnder, processesInCgroups, processesOf, removeCgroups } from "./leftovers.ts";
import type { NetworkHost } from "./network.ts";
import { waitFor } from "./wait-for.ts";

/** The first major version whose Dockerfile frontend (BuildKit v0.20 and later) gives steps today's cache keys. */
const oldestVersion = 28;

/** Directories that the engine writes to besides its own get a layer that goes with it. */
const inPrivateDirectories = `
mount -t tmpfs none /run
mkdir /run/opt /run/opt-work
mount -t overlay none /opt -o lowerdir=/opt,upperdir=/run/opt,workdir=/run/opt-work
exec "$@"`;

export interface DockerEngineOptions {
  /** Its network: it makes a bridge and firewall rules there. */
  readonly host: NetworkHost;
  /** For its state, removed at the end. */
  readonly directory: string;
  /** Registries with plain HTTP, as `host:port`. */
  readonly insecureRegistries: readonly string[];
}

/**
 * A Docker engine with BuildKit inside and containerd's image store. It runs in namespaces of its own (network, mounts,
 * processes): killing it takes all it has started along.
 */
export class DockerEngine implements AsyncDisposable {
  /** For `DOCKER_HOST`. */
  readonly address: string;
  /** Parent of its containers' cgroups, and of builders in them. */
  readonly cgroup: string;
  readonly #child: ChildProcess;
  readonly #directory: string;

  private constructor(child: ChildProcess, directory: string, cgroup: string) {
    this.#child = child;
    this.#directory = directory;
    this.cgroup = cgroup;
    this.address = `unix://${directory}/docker.sock`;
  }

  /** @returns why there can be none here, `false` when there can */
  static async missing(): Promise<string | false> {
    if (process.getuid?.() !== 0) return "a Docker engine needs root";
    const version = await promisify(execFile)("dockerd", ["--version"]).then(
      ({ stdout }) => Number(/version (\d+)/.exec(stdout)?.[1]),
      () => 0,
    );
    return version >= oldestVersion ? false : `no dockerd ${oldestVersion} or newer is on the PATH`;
  }

  static async start({ host, directory, insecureRegistries }: DockerEngineOptions): Promise<DockerEngine> {
    await mkdir(directory, { recursive: true });
    const cgroup = `/engine-${randomBytes(6).toString("hex")}`;
    const config = join(directory, "daemon.json");
    await writeFile(
      config,
      JSON.stringify({
        hosts: [`unix://${directory}/docker.sock`],
        "data-root": join(directory, "data"),
        "exec-root": join(directory, "exec"),
        pidfile: join(directory, "pid"),
        "cgroup-parent": cgroup,
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        features: { "containerd-snapshotter": true },
        "insecure-registries": insecureRegistries,
        "userland-proxy": false,
      }),
    );
    const [command = "", ...args] = [
      ...["setpriv", "--pdeathsig", "KILL", "--", ...host.command],
      ...["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"],
      ...["sh", "-ec", inPrivateDirectories, "sh"],
      ...["dockerd", "--config-file", config],
    ];
    const child = spawn(command, args, {
      stdio: ["ignore", "ignore", "pipe"],
      cwd: directory,
      env: { PATH: process.env["PATH"] ?? "", HOME: directory, TMPDIR: directory },
    });
    child.stderr.pipe(createWriteStream(join(directory, "log")));
    child.on("error", () => {});
    const engine = new DockerEngine(child, directory, cgroup);
    try {
      await waitFor("the Docker engine", () => engine.#answers());
    } catch (error) {
      const log = await readFile(join(directory, "log"), "utf8");
      await engine[Symbol.asyncDispose]();
      throw new Error(`the Docker engine did not start:\n${log.slice(-2000)}`, { cause: error });
    }
    return engine;
  }

  async hasImage(name: string): Promise<boolean> {
    return (await this.#call("GET", `/images/${name}/json`)).status === 200;
  }

  /** Names of its volumes. */
  async volumes(): Promise<readonly string[]> {
    const { Volumes } = JSON.parse((await this.#call("GET", "/volumes")).body) as {
      readonly Volumes: readonly { readonly Name: string }[] | null;
    };
    return (Volumes ?? []).map(({ Name }) => Name);
  }

  /** Command lines of what runs in a container, in its steps too. */
  async processes(container: string): Promise<readonly string[]> {
    const { status, body } = await this.#call("GET", `/containers/${container}/top?ps_args=-eo+pid,args`);
    if (status !== 200) return [];
    const { Processes } = JSON.parse(body) as { readonly Processes: readonly (readonly string[])[] };
    return Processes.map(([, command = ""]) => command);
  }

  /** Ends a container as a crash does. */
  async kill(container: string): Promise<void> {
    const { status, body } = await this.#call("POST", `/containers/${container}/kill`);
    if (status !== 204) throw new Error(`cannot kill ${container}: ${body}`);
  }

  async #answers(): Promise<boolean> {
    if (this.#child.exitCode !== null || this.#child.pid === undefined) throw new Error("dockerd does not run");
    return this.#call("GET", "/_ping").then(
      ({ status }) => status === 200,
      () => false,
    );
  }

  /** @throws Error when nobody answers */
  async #call(method: string, path: string): Promise<{ readonly status: number | undefined; readonly body: string }> {
    const call = request({ socketPath: join(this.#directory, "docker.sock"), method, path }).end();
    const [response] = (await once(call, "response")) as [IncomingMessage];
    return { status: response.statusCode, body: await text(response) };
  }

  /** @throws Error when anything of it is left */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await waitFor(
      "the Docker engine to end",
      () => processesOf(this.#directory).length === 0 && processesInCgroups(this.cgroup).length === 0,
    );
    removeCgroups(this.cgroup);
    const mounts = mountsUnder(this.#directory);
    if (mounts.length > 0) throw new Error(`left by the Docker engine: ${mounts.join(", ")}`);
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }
}
