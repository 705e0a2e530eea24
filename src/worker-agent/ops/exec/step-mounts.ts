import { isAbsolute, join, normalize, posix } from "node:path";
import { type Mount, MountType } from "../../../api/gen/ops.ts";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import type { ContainerMount } from "../../../core/seams/executor.ts";
import type { LayerService } from "../../../core/seams/op-runner.ts";
import type { SessionGroup } from "../../../core/seams/session-caller.ts";
import type { ActiveSnapshot } from "../../../core/seams/snapshotter.ts";
import { cacheMountUse, type PublishedCacheMount } from "../../../core/values/cache-mount.ts";
import type { FailedState } from "../../../core/values/failed-state.ts";
import type { LayerInfo, Ref } from "../../../core/values/layer.ts";
import { scratchRef } from "../../../core/values/layer.ts";
import { findSshAgent, getSecret, SecretNotFoundError } from "../../../session-services/index.ts";
import { allOrAbort } from "../../../util/all-or-abort.ts";
import type { MountArea } from "./mount-area.ts";
import { makeSecretFile } from "./secret-mount.ts";
import { listenForSsh } from "./ssh-socket.ts";
import { type CacheMountSources, StepCacheMounts } from "./step-cache-mounts.ts";

export interface StepMountsOptions {
  readonly mounts: readonly Mount[];
  readonly inputs: readonly Ref[];
  readonly cwd: string;
  /** The command, for descriptions. */
  readonly command: string;
  readonly layers: LayerService;
  readonly sessions: SessionGroup;
  readonly area: MountArea;
  readonly cacheMounts: CacheMountSources;
  /** Copies a tree, keeping owners, modes, times, links and xattrs. */
  readonly copyTree: (source: string, target: string, signal: AbortSignal) => Promise<void>;
}

type Output = { readonly kind: "input"; readonly ref: Ref } | WrittenMount;

interface WrittenMount {
  readonly kind: "active";
  readonly mount: Mount;
  readonly base: Ref;
  readonly active: ActiveSnapshot;
}

const noInput = -1;
const noOutput = -1;

/**
 * The root and mounts of one step, made ready in the order the op lists them (BuildKit frontend/gateway/container
 * PrepareMounts). Owns everything it took until disposed; disposing without `commit` throws the changes away.
 */
export class StepMounts implements AsyncDisposable {
  readonly #options: StepMountsOptions;
  readonly #signal: AbortSignal;
  readonly #mounts: ContainerMount[] = [];
  readonly #outputs: Output[] = [];
  /** Thrown away unless the step fails. */
  readonly #unwanted: WrittenMount[] = [];
  readonly #secrets: Uint8Array[] = [];
  #cacheMounts: StepCacheMounts | undefined;
  #succeeded = false;
  #published: readonly PublishedCacheMount[] = [];
  readonly #releases: (() => void | PromiseLike<void>)[] = [];
  #root: { readonly path: string; readonly readonly: boolean } | undefined;

  private constructor(options: StepMountsOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** @throws BuildError with what BuildKit says of missing inputs, secrets and agents */
  static async prepare(options: StepMountsOptions, signal: AbortSignal): Promise<StepMounts> {
    const step = new StepMounts(options, signal);
    try {
      await step.#prepare();
      return step;
    } catch (error) {
      await step[Symbol.asyncDispose]();
      throw error;
    }
  }

  get root(): { readonly path: string; readonly readonly: boolean } {
    if (this.#root === undefined) throw new BuildError(Code.InvalidArgument, "exec op has no root mount");
    return this.#root;
  }

  /** Parents first. */
  get mounts(): readonly ContainerMount[] {
    return this.#mounts;
  }

  /** Values which must not show in the log. */
  get secrets(): readonly Uint8Array[] {
    return this.#secrets;
  }

  /** Turns what the step wrote into layers. Outputs are in the order of the mounts, whatever number each asked for. */
  async commit(): Promise<{ readonly outputs: readonly Ref[]; readonly layers: readonly LayerInfo[] }> {
    const outputs: Ref[] = [];
    const layers: LayerInfo[] = [];
    for (const output of this.#outputs) {
      if (output.kind === "input") {
        outputs.push(output.ref);
        continue;
      }
      outputs.push(await this.#commit(output, "mount", layers));
    }
    return { outputs, layers };
  }

  /**
   * Turns all that a failed step wrote into layers, by mount; also where no output was asked for, as BuildKit does. Cache
   * mounts, and what lies in memory only, are no part of it.
   */
  async commitFailed(): Promise<FailedState> {
    const results = this.#options.mounts.map((): Ref | null => null);
    const layers: LayerInfo[] = [];
    for (const written of [...this.#outputs, ...this.#unwanted]) {
      if (written.kind === "input") continue;
      const index = this.#options.mounts.indexOf(written.mount);
      results[index] = await this.#commit(written, "failed mount", layers);
    }
    return { results, layers };
  }

  /** Versions of cache mounts that the step has left; known after `release`. */
  get published(): readonly PublishedCacheMount[] {
    return this.#published;
  }

  /**
   * Ends everything that lies over the step's files, so that outputs can be committed.
   * @param options.succeeded the step did: others may have its cache mounts
   */
  async release(options: { readonly succeeded?: boolean } = {}): Promise<void> {
    this.#succeeded = options.succeeded ?? false;
    const errors: unknown[] = [];
    for (let release = this.#releases.pop(); release !== undefined; release = this.#releases.pop()) {
      try {
        await release();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw BuildError.from(errors[0]).wrap("Cannot release mounts of step");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.release();
    } finally {
      for (const written of [...this.#outputs, ...this.#unwanted]) {
        if (written.kind === "active") await written.active[Symbol.asyncDispose]();
      }
    }
  }

  async #prepare(): Promise<void> {
    const { mounts, inputs, layers } = this.#options;
    // Fetched side by side; each mount then finds its layers here.
    await allOrAbort(inputs, this.#signal, (input, signal) => layers.ensure(input, signal));
    await this.#takeCacheMounts();
    for (const mount of mounts) {
      if (mount.dest === "/") await this.#prepareRoot(mount);
      else await this.#prepareMount(mount);
    }
    this.#mounts.sort((a, b) => Buffer.compare(Buffer.from(a.destination), Buffer.from(b.destination)));
  }

  async #prepareRoot(mount: Mount): Promise<void> {
    if (mount.mountType !== MountType.BIND) {
      throw new BuildError(Code.Unknown, `invalid mount type ${mountTypeName(mount.mountType)} for ${mount.dest}`);
    }
    const ref = this.#inputOf(mount);
    if (mount.output === noOutput && !mount.readonly) {
      // Writable, but nobody wants the changes: shown as it is, and writes fail.
      if (ref === undefined) throw missingInput(mount);
      const view = await this.#view(ref);
      const readonly = this.#options.area.readonlyView(view);
      this.#releases.push(() => readonly[Symbol.dispose]());
      this.#root = { path: readonly.path, readonly: false };
      return;
    }
    if (mount.output === noOutput && ref === undefined) throw missingInput(mount);
    const path = await this.#writable(mount, ref, mount.output !== noOutput);
    this.#root = { path, readonly: mount.readonly };
  }

  async #prepareMount(mount: Mount): Promise<void> {
    switch (mount.mountType) {
      case MountType.BIND:
        return this.#bind(mount, await this.#bindSource(mount));
      case MountType.CACHE:
        return this.#bindCache(mount);
      case MountType.TMPFS:
        return this.#tmpfs(mount);
      case MountType.SECRET:
        return this.#secret(mount);
      case MountType.SSH:
        return this.#ssh(mount);
      default:
        throw new BuildError(Code.Unknown, `mount type ${mount.mountType} not implemented`);
    }
  }

  async #bindSource(mount: Mount): Promise<string> {
    const ref = this.#inputOf(mount);
    if (mount.readonly && ref !== undefined) {
      if (mount.output !== noOutput) this.#outputs.push({ kind: "input", ref });
      return this.#view(ref);
    }
    return this.#writable(mount, ref, mount.output !== noOutput);
  }

  #bind(mount: Mount, source: string, selector = mount.selector): void {
    let path = source;
    if (posix.join("/", selector) !== "/") {
      const selected = this.#options.area.below(source, selector);
      this.#releases.push(() => selected[Symbol.dispose]());
      path = selected.path;
    }
    this.#add(mount, "bind", path, mount.readonly ? ["rbind", "ro"] : ["rbind"]);
  }

  #bindCache(mount: Mount): void {
    const { key, nested } = cacheMountUse(mount, this.#options.inputs);
    const ref = this.#inputOf(mount);
    if (mount.output !== noOutput && ref !== undefined) this.#outputs.push({ kind: "input", ref });
    this.#bind(mount, this.#cacheMounts?.path(key) ?? "", nested ? "/" : mount.selector);
  }

  async #takeCacheMounts(): Promise<void> {
    const { mounts, inputs, cacheMounts } = this.#options;
    const wants = {
      mounts,
      inputs,
      describe: (mount: Mount) => {
        const id = mount.cacheOpt?.ID ?? "";
        return `${this.#describe("cached mount", mount.dest)}${id === mount.dest ? "" : ` with id ${JSON.stringify(id)}`}`;
      },
      seed: async (mount: Mount, path: string) => {
        const ref = this.#inputOf(mount);
        if (ref !== undefined) await this.#seed(ref, posix.join("/", mount.selector), path);
      },
    };
    const taken = await StepCacheMounts.take(cacheMounts, wants, this.#signal);
    this.#cacheMounts = taken;
    this.#releases.push(async () => {
      if (this.#succeeded) this.#published = await taken.publish();
      await taken[Symbol.asyncDispose]();
    });
  }

  async #seed(ref: Ref, selector: string, target: string): Promise<void> {
    await using view = await this.#options.layers.view(ref, this.#signal);
    if (selector === "/") {
      await this.#options.copyTree(view.path, target, this.#signal);
      return;
    }
    using selected = this.#options.area.below(view.path, selector);
    await this.#options.copyTree(selected.path, target, this.#signal);
  }

  #tmpfs(mount: Mount): void {
    const size = mount.TmpfsOpt?.size ?? 0;
    this.#add(mount, "tmpfs", "tmpfs", [
      "nosuid",
      ...(mount.readonly ? ["ro"] : []),
      ...(size > 0 ? [`size=${size}`] : []),
    ]);
  }

  async #secret(mount: Mount): Promise<void> {
    const options = mount.secretOpt;
    if (options === undefined) throw new BuildError(Code.Unknown, "invalid secret mount options");
    if (options.ID === "") throw new BuildError(Code.Unknown, "secret ID missing from mount options");
    let value: Uint8Array;
    try {
      value = await getSecret(this.#options.sessions, options.ID, this.#signal);
    } catch (error) {
      if (options.optional && error instanceof SecretNotFoundError) return;
      throw error;
    }
    this.#secrets.push(value);
    const file = makeSecretFile(this.#options.area, value, options);
    this.#releases.push(() => file[Symbol.dispose]());
    this.#add(mount, "bind", file.path, file.mountOptions);
  }

  async #ssh(mount: Mount): Promise<void> {
    const options = mount.SSHOpt;
    if (options === undefined) throw new BuildError(Code.InvalidArgument, "invalid ssh mount options");
    const caller = await findSshAgent(this.#options.sessions, options.ID, {
      optional: options.optional,
      signal: this.#signal,
    });
    if (caller === undefined) return;
    const socket = await listenForSsh(caller, options, this.#signal);
    this.#releases.push(() => socket[Symbol.asyncDispose]());
    this.#add(mount, "bind", socket.path, ["rbind"]);
  }

  #add(mount: Mount, type: ContainerMount["type"], source: string, options: readonly string[]): void {
    const absolute = isAbsolute(normalize(mount.dest));
    const destination = absolute ? mount.dest : join("/", this.#options.cwd, mount.dest);
    this.#mounts.push({ type, source, destination, options });
  }

  #inputOf(mount: Mount): Ref | undefined {
    if (mount.input === noInput) return undefined;
    const ref = this.#options.inputs[mount.input];
    if (ref === undefined) throw new BuildError(Code.Unknown, `missing input ${mount.input}`);
    return ref;
  }

  async #view(ref: Ref): Promise<string> {
    const view = await this.#options.layers.view(ref, this.#signal);
    this.#releases.push(() => view[Symbol.asyncDispose]());
    return view.path;
  }

  async #writable(mount: Mount, ref: Ref | undefined, keep: boolean): Promise<string> {
    const base = ref ?? scratchRef;
    const active = await this.#options.layers.prepare(base, this.#signal);
    (keep ? this.#outputs : this.#unwanted).push({ kind: "active", mount, base, active });
    return active.path;
  }

  async #commit({ mount, base, active }: WrittenMount, what: string, layers: LayerInfo[]): Promise<Ref> {
    const id = this.#options.layers.newId();
    const { sizeBytes } = await active.commit(id);
    layers.push(this.#options.layers.born(id, sizeBytes, this.#describe(what, mount.dest)));
    return { layers: [...base.layers, id] };
  }

  #describe(what: string, destination: string): string {
    return `${what} ${destination} from exec ${this.#options.command}`;
  }
}

function missingInput(mount: Mount): BuildError {
  return new BuildError(Code.Unknown, `mount ${mount.dest} has no input`);
}

function mountTypeName(type: number): string {
  return Object.entries(MountType).find(([, value]) => value === type)?.[0] ?? String(type);
}
