import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ImageConfig } from "./registry-image.ts";
import { runCommand } from "./run-command.ts";

export interface RunImageOptions {
  /** Has the unpacked image as `rootfs`; gets the container's `config.json`. */
  readonly directory: string;
  /** runc, or a program with its command line. */
  readonly runtime: string;
  /** Name of the container and of its cgroup. */
  readonly id: string;
  readonly signal: AbortSignal;
}

/** Runs an image's command once in a container with no network but loopback. @returns what it printed */
export async function runImage(config: ImageConfig, options: RunImageOptions): Promise<string> {
  const { directory, runtime, id, signal } = options;
  await runCommand([runtime, "spec"], { cwd: directory, signal });
  const path = join(directory, "config.json");
  const spec = JSON.parse(await readFile(path, "utf8"));
  const { Entrypoint = [], Cmd = [], Env = [], WorkingDir } = config;
  Object.assign(spec.process, { terminal: false, args: [...Entrypoint, ...Cmd], env: Env, cwd: WorkingDir || "/" });
  spec.linux.cgroupsPath = `/${id}`;
  await writeFile(path, JSON.stringify(spec));
  try {
    return await runCommand([runtime, "run", "--bundle", directory, id], { signal });
  } catch (error) {
    await runCommand([runtime, "delete", "--force", id]).catch(() => {});
    throw error;
  }
}
