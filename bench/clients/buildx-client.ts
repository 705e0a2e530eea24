import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { promisify } from "node:util";
import type { Endpoint } from "../endpoints/endpoint.ts";

const run = promisify(execFile);

/** docker buildx, for what buildctl cannot ask: many targets in one go. */
export class BuildxClient {
  readonly #env: Readonly<Record<string, string>>;
  readonly #builders = new Map<string, Promise<string>>();

  private constructor(env: Readonly<Record<string, string>>) {
    this.#env = env;
  }

  /** @param directory takes its configuration. @returns undefined where there is no docker-buildx on the PATH */
  static async find(directory: string): Promise<BuildxClient | undefined> {
    await mkdir(directory, { recursive: true });
    const env = {
      PATH: process.env["PATH"] ?? "",
      HOME: directory,
      DOCKER_CONFIG: directory,
      // Newer ones ask before a bake reads what is not below the working directory.
      BUILDX_BAKE_ENTITLEMENTS_FS: "0",
    };
    return run("docker-buildx", ["version"], { env }).then(
      () => new BuildxClient(env),
      () => undefined,
    );
  }

  /** Builds the default group of a file. @throws Error with the daemon's words */
  async bake(endpoint: Endpoint, file: string): Promise<void> {
    const builder = await this.#builder(endpoint);
    await this.#run(["bake", "--builder", builder, "--progress", "plain", "--file", file]);
  }

  #builder({ name, address }: Endpoint): Promise<string> {
    const made =
      this.#builders.get(address) ??
      this.#run(["create", "--name", name, "--driver", "remote", address]).then(() => name);
    this.#builders.set(address, made);
    return made;
  }

  async #run(args: readonly string[]): Promise<void> {
    try {
      await run("docker-buildx", args, { env: this.#env, maxBuffer: 1 << 28 });
    } catch (error) {
      const text = error instanceof Error && "stderr" in error ? String(error.stderr) : String(error);
      throw new Error(`docker-buildx: ${text.trim().split("\n").slice(-15).join("\n")}`);
    }
  }
}
