import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { promisify } from "node:util";

/** Names of the steps of a build, and whether each was cached. */
export type BuildxSteps = ReadonlyMap<string, boolean>;

/** The `docker-buildx` on the PATH, with a configuration of its own. */
export class Buildx {
  readonly #env: Readonly<Record<string, string>>;

  private constructor(env: Readonly<Record<string, string>>) {
    this.#env = env;
  }

  /**
   * @param needed minor of the version 0.x
   * @returns why there is none to use here, `false` when there is one
   */
  static async missing(needed = 13): Promise<string | false> {
    const { stdout } = await promisify(execFile)("docker-buildx", ["version"]).catch(() => ({ stdout: "" }));
    const [, major, minor] = /v?(\d+)\.(\d+)/.exec(stdout) ?? [];
    return Number(major) * 1000 + Number(minor) >= needed
      ? false
      : `no docker-buildx 0.${needed} or newer is on the PATH`;
  }

  /**
   * @param directory for its configuration
   * @param engine address of a Docker engine, its builder is `default`
   */
  static async open(directory: string, engine: string): Promise<Buildx> {
    await mkdir(directory, { recursive: true });
    return new Buildx({
      PATH: process.env["PATH"] ?? "",
      HOME: directory,
      DOCKER_CONFIG: directory,
      DOCKER_HOST: engine,
      // Newer ones let a bake read directories only as told, with a flag that older ones do not know.
      BUILDX_BAKE_ENTITLEMENTS_FS: "0",
    });
  }

  /** Runs a command of it. @throws Error with what it has written, when it fails */
  async run(...args: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
    return promisify(execFile)("docker-buildx", args, { env: this.#env, timeout: 120_000, maxBuffer: 2 ** 26 });
  }

  /** Gives it something to read, e.g. a Dockerfile. @throws Error with what it has written, when it fails */
  async runWith(input: string | Uint8Array, ...args: readonly string[]): Promise<{ readonly stdout: string }> {
    const running = promisify(execFile)("docker-buildx", args, {
      env: this.#env,
      timeout: 120_000,
      maxBuffer: 2 ** 26,
    });
    running.child.stdin?.on("error", () => {}).end(input);
    return running;
  }

  /** @param args those of `build` */
  async build(builder: string, args: readonly string[]): Promise<BuildxSteps> {
    const { stderr } = await this.run("build", "--builder", builder, "--progress", "rawjson", ...args);
    const steps = new Map<string, boolean>();
    for (const { vertexes = [] } of parseDocuments(stderr)) {
      for (const { name, cached = false } of vertexes) steps.set(name, cached || (steps.get(name) ?? false));
    }
    return steps;
  }
}

interface StatusDocument {
  readonly vertexes?: readonly { readonly name: string; readonly cached?: boolean }[];
}

/** JSON documents one after the other, indented or not, among warnings for people. */
function parseDocuments(text: string): StatusDocument[] {
  const lines = text.split("\n").filter((line) => /^[\s{}]/.test(line));
  return JSON.parse(`[${lines.join("\n").replaceAll("}\n{", "},{")}]`);
}
