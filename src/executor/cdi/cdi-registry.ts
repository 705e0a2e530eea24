import { readdir, readFile, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { CdiDevice } from "../../core/values/cdi-device.ts";
import { type ContainerEdits, joinEdits } from "../../core/values/container-edits.ts";
import { type CdiSpec, type CdiSpecDevice, parseCdiSpec } from "./cdi-spec.ts";
import { withHostDevices } from "./host-devices.ts";

export interface CdiRegistryOptions {
  /** Later ones count more. */
  readonly directories: readonly string[];
  /** Devices and kinds that every build may use. */
  readonly autoAllowed: readonly string[];
  readonly logger: Logger;
}

interface Registered {
  readonly spec: CdiSpec;
  readonly own: CdiSpecDevice;
  readonly path: string;
  readonly priority: number;
}

const autoAllowAnnotation = "org.mobyproject.buildkit.device.autoallow";

/** The devices of this machine, from the spec files of their vendors (CDI specification). Files may come and go at any time. */
export class CdiRegistry {
  readonly #options: CdiRegistryOptions;
  /** Names, sizes and times of the files read last. */
  #seen = "";
  #registered: ReadonlyMap<string, Registered> = new Map();
  #devices: readonly CdiDevice[] = [];

  constructor(options: CdiRegistryOptions) {
    this.#options = options;
  }

  /** In order of name. */
  get devices(): readonly CdiDevice[] {
    return this.#devices;
  }

  /** Reads the files again if any has changed. @returns whether one has */
  async refresh(): Promise<boolean> {
    const files = await this.#files();
    const seen = JSON.stringify(files);
    if (seen === this.#seen) return false;
    this.#seen = seen;
    const found: Registered[] = [];
    for (const { path, priority } of files) {
      try {
        const spec = parseCdiSpec(await readFile(path, "utf8"));
        for (const own of spec.devices) found.push({ spec, own, path, priority });
      } catch (error) {
        this.#options.logger.warn("Cannot use CDI spec", { path, error: String(error) });
      }
    }
    this.#register(found);
    return true;
  }

  /**
   * What the devices change about a container, those of a spec before those of its devices.
   * @throws BuildError for a device that has gone, or a node that the machine lacks
   */
  async edits(names: readonly string[]): Promise<ContainerEdits> {
    await this.refresh();
    const missing = names.filter((name) => !this.#registered.has(name));
    if (missing.length > 0) {
      throw new BuildError(Code.Unknown, `CDI device injection failed: unresolvable CDI devices ${missing.join(", ")}`);
    }
    const devices = names.flatMap((name) => this.#registered.get(name) ?? []);
    const specs = new Set<CdiSpec>();
    const all = devices.flatMap(({ spec, own }) => {
      const first = !specs.has(spec);
      specs.add(spec);
      return first ? [spec.edits, own.edits] : [own.edits];
    });
    try {
      return await withHostDevices(joinEdits(all));
    } catch (error) {
      throw BuildError.from(error).wrap("CDI device injection failed: failed to inject devices");
    }
  }

  #register(found: readonly Registered[]): void {
    const registered = new Map<string, Registered>();
    for (const [name, candidates] of Map.groupBy(found, ({ spec, own }) => `${spec.kind}=${own.name}`)) {
      const priority = Math.max(...candidates.map((candidate) => candidate.priority));
      const [best, other] = candidates.filter((candidate) => candidate.priority === priority);
      if (other !== undefined) {
        const paths = candidates.map(({ path }) => path);
        this.#options.logger.warn("Several CDI specs have the same device; none is used", { name, paths });
      } else if (best !== undefined) registered.set(name, best);
    }
    this.#registered = registered;
    this.#devices = [...registered].map(([name, device]) => this.#describe(name, device)).sort(byName);
  }

  #describe(name: string, { spec, own }: Registered): CdiDevice {
    const annotations = { ...spec.annotations, ...own.annotations };
    const { autoAllowed } = this.#options;
    const allowed = /^(1|t|T|TRUE|true|True)$/.test(annotations[autoAllowAnnotation] ?? "");
    return { name, annotations, autoAllow: allowed || autoAllowed.includes(name) || autoAllowed.includes(spec.kind) };
  }

  async #files() {
    const found: {
      readonly path: string;
      readonly priority: number;
      readonly size: number;
      readonly mtimeMs: number;
    }[] = [];
    for (const [priority, directory] of this.#options.directories.entries()) {
      const names = await readdir(directory).catch(() => []);
      for (const name of names.filter((entry) => [".json", ".yaml"].includes(extname(entry))).sort()) {
        const path = join(directory, name);
        const stats = await stat(path).catch(() => undefined);
        if (stats?.isFile()) found.push({ path, priority, size: stats.size, mtimeMs: stats.mtimeMs });
      }
    }
    return found;
  }
}

function byName(a: CdiDevice, b: CdiDevice): number {
  return a.name < b.name ? -1 : 1;
}
