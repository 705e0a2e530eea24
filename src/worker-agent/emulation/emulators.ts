import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { ContainerMount } from "../../core/seams/executor.ts";
import type { Logger } from "../../core/seams/logger.ts";
import {
  formatPlatform,
  hostPlatform,
  normalizePlatform,
  type Platform,
  samePlatform,
} from "../../core/values/platform.ts";
import { emulatedArchitectures, qemuName } from "./architectures.ts";
import { registeredArchitectures } from "./binfmt.ts";
import { EmulationNamespace } from "./emulation-namespace.ts";
import { amd64LevelsHere, runnablePlatforms } from "./host-platforms.ts";

export interface EmulatorsOptions {
  /** Directory of the agent's own. */
  readonly directory: string;
  readonly logger: Logger;
  /** Default: the agent's PATH. */
  readonly searchPath?: string;
}

/** What a container needs for programs of its platform. */
export interface Emulation {
  /** User namespace to join. */
  readonly userNamespace?: string;
  readonly mounts: readonly ContainerMount[];
  /** Put before the arguments of its processes. */
  readonly prefix: readonly string[];
}

export const noEmulation: Emulation = { mounts: [], prefix: [] };
const destination = "/dev/.buildkit_qemu_emulator";

/**
 * How this machine runs programs of other platforms: by the machine's own binfmt_misc; else by emulators on the PATH, which are
 * registered in a user namespace for steps alone; where the kernel has no such thing, by BuildKit's emulators, which see to the
 * programs their programs start themselves (BuildKit solver/llbsolver/ops/exec_binfmt.go).
 */
export class Emulators implements AsyncDisposable {
  readonly #namespace: EmulationNamespace | undefined;
  /** BuildKit's emulators by architecture. */
  readonly #bundled: ReadonlyMap<string, string>;
  readonly #levels = amd64LevelsHere();

  private constructor(namespace: EmulationNamespace | undefined, bundled: ReadonlyMap<string, string>) {
    this.#namespace = namespace;
    this.#bundled = bundled;
  }

  /** All that runs here now, the machine's own first. The machine's registrations may come and go. */
  get platforms(): readonly Platform[] {
    const own = [...(this.#namespace?.architectures ?? []), ...this.#bundled.keys()];
    return runnablePlatforms(new Set([...registeredArchitectures(), ...own]), this.#levels);
  }

  static async open({
    directory,
    logger,
    searchPath = process.env["PATH"] ?? "",
  }: EmulatorsOptions): Promise<Emulators> {
    const bundled = findPrograms(searchPath, (name) => `buildkit-qemu-${name}`);
    const programs = new Map([...findPrograms(searchPath, (name) => `qemu-${name}-static`), ...bundled]);
    if (programs.size === 0) return new Emulators(undefined, bundled);
    try {
      return new Emulators(await EmulationNamespace.open(directory, programs), bundled);
    } catch (error) {
      const { message } = BuildError.from(error);
      logger.warn("Only buildkit-qemu-* emulators are used", { error: message });
      return new Emulators(undefined, bundled);
    }
  }

  /**
   * @param security an insecure step keeps the rights on the machine that it would lose in a user namespace
   * @throws BuildError for a level of amd64 that the processor does not have
   */
  forContainer(platform: Platform, security: "sandbox" | "insecure"): Emulation {
    const wanted = normalizePlatform(platform);
    const { architecture } = wanted;
    const host = hostPlatform();
    if (wanted.os !== "linux") return noEmulation;
    if (architecture === host.architecture) {
      if (architecture === "amd64") this.#checkLevel(wanted);
      return noEmulation;
    }
    // A registration of the machine's may have come since.
    if (registeredArchitectures().has(architecture)) return noEmulation;
    if (security === "sandbox" && this.#namespace?.architectures.has(architecture)) {
      return { ...noEmulation, userNamespace: this.#namespace.path };
    }
    const program = this.#bundled.get(architecture);
    if (program === undefined) return noEmulation;
    return {
      mounts: [{ type: "bind", source: program, destination, options: ["rbind", "ro"] }],
      prefix: [destination],
    };
  }

  #checkLevel(wanted: Platform): void {
    if (["", "v2"].includes(wanted.variant) || this.platforms.some((platform) => samePlatform(platform, wanted)))
      return;
    const supported = this.platforms.filter(({ architecture }) => architecture === "amd64").map(formatPlatform);
    throw new BuildError(
      Code.Unknown,
      `no support for running processes with ${formatPlatform(wanted)} platform, supported: ${supported.join(", ")}`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#namespace?.[Symbol.asyncDispose]();
  }
}

/** @param nameOf the program for an architecture by QEMU's name */
function findPrograms(searchPath: string, nameOf: (qemu: string) => string): ReadonlyMap<string, string> {
  const directories = searchPath.split(delimiter).filter((directory) => directory !== "");
  const found = new Map<string, string>();
  for (const architecture of emulatedArchitectures) {
    if (architecture === hostPlatform().architecture) continue;
    const path = directories.map((directory) => join(directory, nameOf(qemuName(architecture)))).find(isExecutable);
    if (path !== undefined) found.set(architecture, path);
  }
  return found;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
