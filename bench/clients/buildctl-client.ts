import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Endpoint } from "../endpoints/endpoint.ts";
import type { BuildClient, BuildSpec, GraphSpec } from "./build-client.ts";

const run = promisify(execFile);

/** BuildKit's own command line, a process per build. */
export class BuildctlClient implements BuildClient {
  readonly description: string;

  private constructor(description: string) {
    this.description = description;
  }

  /** @returns undefined where there is no buildctl on the PATH */
  static async find(): Promise<BuildctlClient | undefined> {
    try {
      const { stdout } = await run("buildctl", ["--version"]);
      return new BuildctlClient(stdout.trim());
    } catch {
      return undefined;
    }
  }

  async build(endpoint: Endpoint, { dockerfile, context, buildArgs, options, output }: BuildSpec): Promise<void> {
    const args = ["build", "--progress=plain", "--frontend=dockerfile.v0"];
    args.push(`--local=context=${context}`, `--local=dockerfile=${dockerfile}`);
    for (const [name, value] of Object.entries(buildArgs ?? {})) args.push(`--opt=build-arg:${name}=${value}`);
    for (const [name, value] of Object.entries(options ?? {})) args.push(`--opt=${name}=${value}`);
    if (output !== undefined) {
      const fields = Object.entries({ type: output.type, ...output.attributes }).map(
        ([key, value]) => `${key}=${value}`,
      );
      if (output.file !== undefined) fields.push(`dest=${output.file}`);
      args.push(`--output=${fields.join(",")}`);
    }
    await this.#run(endpoint, args);
  }

  async solve(endpoint: Endpoint, { definition, cacheTo, cacheFrom }: GraphSpec): Promise<void> {
    const args = ["build", "--progress=plain"];
    if (cacheTo !== undefined) args.push(`--export-cache=type=local,mode=max,dest=${cacheTo}`);
    if (cacheFrom !== undefined) args.push(`--import-cache=type=local,src=${cacheFrom}`);
    await this.#run(endpoint, args, definition);
  }

  async prune(endpoint: Endpoint): Promise<void> {
    await this.#run(endpoint, ["prune", "--all"]);
  }

  async #run(endpoint: Endpoint, args: readonly string[], input?: Uint8Array): Promise<void> {
    try {
      const running = run("buildctl", ["--addr", endpoint.address, ...args], { maxBuffer: 1 << 28 });
      running.child.stdin?.on("error", () => {}).end(input);
      await running;
    } catch (error) {
      const text = error instanceof Error && "stderr" in error ? String(error.stderr) : String(error);
      throw new Error(`buildctl at ${endpoint.name}: ${text.trim().split("\n").slice(-15).join("\n")}`);
    }
  }
}
