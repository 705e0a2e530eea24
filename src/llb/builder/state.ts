import { type HostIP, NetMode, SecurityMode, type Ulimit } from "../../api/gen/ops.ts";
import { normalizePlatform, type Platform } from "../../core/values/platform.ts";
import { EnvList } from "./env-list.ts";
import { type ExecOptions, ExecVertex } from "./exec-vertex.ts";
import type { FileAction } from "./file-action.ts";
import { FileVertex } from "./file-vertex.ts";
import { joinPath } from "./go-path.ts";
import type { Output } from "./vertex.ts";
import type { VertexOptions } from "./vertex-options.ts";

interface StateValues {
  readonly output: Output | undefined;
  readonly env: EnvList;
  readonly dir: string;
  readonly user: string;
  readonly hostname: string;
  readonly cgroupParent: string;
  readonly platform: Platform | undefined;
  readonly network: NetMode;
  readonly security: SecurityMode;
  readonly extraHosts: readonly HostIP[];
  readonly ulimits: readonly Ulimit[];
  readonly validExitCodes: readonly number[] | undefined;
}

/**
 * A file system and the settings with which later steps run on it. Immutable: every method answers a new state
 * (BuildKit client/llb/state.go).
 */
export class State implements StateValues {
  readonly output: Output | undefined;
  readonly env: EnvList;
  readonly dir: string;
  readonly user: string;
  readonly hostname: string;
  readonly cgroupParent: string;
  readonly platform: Platform | undefined;
  readonly network: NetMode;
  readonly security: SecurityMode;
  readonly extraHosts: readonly HostIP[];
  readonly ulimits: readonly Ulimit[];
  readonly validExitCodes: readonly number[] | undefined;

  private constructor(values: StateValues) {
    this.output = values.output;
    this.env = values.env;
    this.dir = values.dir;
    this.user = values.user;
    this.hostname = values.hostname;
    this.cgroupParent = values.cgroupParent;
    this.platform = values.platform;
    this.network = values.network;
    this.security = values.security;
    this.extraHosts = values.extraHosts;
    this.ulimits = values.ulimits;
    this.validExitCodes = values.validExitCodes;
  }

  /** @param output undefined: an empty file system */
  static of(output: Output | undefined): State {
    return new State({
      output,
      env: EnvList.empty,
      dir: "/",
      user: "",
      hostname: "",
      cgroupParent: "",
      platform: output?.platform,
      network: NetMode.UNSET,
      security: SecurityMode.SANDBOX,
      extraHosts: [],
      ulimits: [],
      validExitCodes: undefined,
    });
  }

  #with(change: Partial<StateValues>): State {
    return new State({ ...this, ...change });
  }

  /** Other files, same settings. */
  withOutput(output: Output | undefined): State {
    return this.#with({ output, platform: output?.platform ?? this.platform });
  }

  withEnv(key: string, value: string): State {
    return this.#with({ env: this.env.set(key, value) });
  }

  withEnvs(entries: Iterable<readonly [key: string, value: string]>): State {
    return this.#with({ env: this.env.setAll(entries) });
  }

  /** A relative path goes below the current directory. */
  withDir(dir: string): State {
    return this.#with({ dir: dir.startsWith("/") ? dir : joinPath(this.dir === "" ? "/" : this.dir, dir) });
  }

  withUser(user: string): State {
    return this.#with({ user });
  }

  withHostname(hostname: string): State {
    return this.#with({ hostname });
  }

  withCgroupParent(cgroupParent: string): State {
    return this.#with({ cgroupParent });
  }

  withPlatform(platform: Platform): State {
    return this.#with({ platform: normalizePlatform(platform) });
  }

  withNetwork(network: NetMode): State {
    return this.#with({ network });
  }

  withSecurity(security: SecurityMode): State {
    return this.#with({ security });
  }

  withExtraHost(host: HostIP): State {
    return this.#with({ extraHosts: [...this.extraHosts, host] });
  }

  withUlimit(ulimit: Ulimit): State {
    return this.#with({ ulimits: [...this.ulimits, ulimit] });
  }

  withValidExitCodes(codes: readonly number[]): State {
    return this.#with({ validExitCodes: codes });
  }

  /** Runs a command; the new state has its root file system. */
  run(options: ExecOptions): State {
    return this.withOutput(new ExecVertex(this, options).root());
  }

  /** Runs a command and answers the state of the mount at exactly `target` as well. */
  runWithMount(options: ExecOptions, target: string): { readonly root: State; readonly mount: State } {
    const vertex = new ExecVertex(this, options);
    return { root: this.withOutput(vertex.root()), mount: State.of(vertex.mountOutput(target)) };
  }

  file(action: FileAction, options: VertexOptions = {}): State {
    return this.withOutput(new FileVertex(this, action, options));
  }
}

export function scratch(): State {
  return State.of(undefined);
}
