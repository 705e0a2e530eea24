import {
  type CacheSharingOpt,
  type CDIDevice,
  type HostIP,
  type Mount,
  MountContentCache,
  MountType,
  NetMode,
  Op,
  type ProxyEnv,
  SecurityMode,
  type Ulimit,
} from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { sha256 } from "../../core/values/digest.ts";
import type { EnvList } from "./env-list.ts";
import type { State } from "./state.ts";
import { addInput, type MarshalContext, type MarshalledVertex, type Output, type Vertex } from "./vertex.ts";
import { baseOp, type VertexOptions, vertexMetadata } from "./vertex-options.ts";

/** A directory or file shown to the command, besides its root. */
export interface ExecMount {
  readonly target: string;
  /** Scratch when absent. */
  readonly source?: State;
  /** Path inside the source. */
  readonly selector?: string;
  readonly readonly?: boolean;
  /** Writes are thrown away. */
  readonly noOutput?: boolean;
  readonly cache?: { readonly id: string; readonly sharing: CacheSharingOpt };
  readonly tmpfs?: { readonly sizeBytes: number };
  readonly contentCache?: MountContentCache;
}

/** A secret as a file (`target`), a variable (`env`), or both. */
export interface ExecSecret {
  readonly id: string;
  readonly target?: string;
  readonly env?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Default 0400. */
  readonly mode?: number;
  readonly optional?: boolean;
}

export interface ExecSsh {
  readonly id: string;
  /** Default `/run/buildkit/ssh_agent.N`. */
  readonly target?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Default 0600. */
  readonly mode?: number;
  readonly optional?: boolean;
}

/** A command line. What is given here and in the state: here wins, or (lists) is added. */
export interface ExecOptions extends VertexOptions {
  readonly args: readonly string[];
  readonly mounts?: readonly ExecMount[];
  readonly secrets?: readonly ExecSecret[];
  readonly ssh?: readonly ExecSsh[];
  readonly cdiDevices?: readonly CDIDevice[];
  readonly proxyEnv?: ProxyEnv | undefined;
  readonly readonlyRoot?: boolean;
  readonly network?: NetMode;
  readonly security?: SecurityMode;
  readonly ulimits?: readonly Ulimit[];
  readonly extraHosts?: readonly HostIP[];
  readonly cgroupParent?: string;
}

type OrderedMount = ExecMount & { readonly output: Output | undefined };

/** ExecOp (BuildKit client/llb/exec.go). */
export class ExecVertex implements Vertex {
  readonly #base: State;
  readonly #options: ExecOptions;
  /** By target: the order decides input and output numbers. */
  readonly #mounts: readonly OrderedMount[];

  constructor(base: State, options: ExecOptions) {
    this.#base = base;
    this.#options = options;
    const root: OrderedMount = { target: "/", readonly: options.readonlyRoot ?? false, output: base.output };
    const others = (options.mounts ?? []).map((mount) => ({ ...mount, output: mount.source?.output }));
    this.#mounts = [root, ...others].sort((a, b) => (a.target < b.target ? -1 : a.target > b.target ? 1 : 0));
  }

  root(): Output | undefined {
    return this.mountOutput("/");
  }

  /** State of a mount after the command; its source where the command cannot write to it. */
  mountOutput(target: string): Output | undefined {
    const mount = this.#mounts.find((candidate) => candidate.target === target);
    if (mount === undefined) throw new BuildError(Code.InvalidArgument, `invalid mount: ${target}`);
    if (mount.readonly) return mount.output;
    const index = this.#mounts.filter(hasOutput).indexOf(mount);
    if (index < 0) throw new BuildError(Code.InvalidArgument, `mount ${target} can't be used as a parent`);
    const platform = this.#options.platform;
    return { vertex: () => this, index: () => index, ...(platform === undefined ? {} : { platform }) };
  }

  inputs(): readonly Output[] {
    return this.#mounts.flatMap((mount) => (mount.output === undefined ? [] : [mount.output]));
  }

  marshal(context: MarshalContext): MarshalledVertex {
    const options = this.#options;
    const base = this.#base;
    if (options.args.length === 0) throw new BuildError(Code.Unknown, "arguments are required");
    const platform = options.platform ?? base.platform;
    const network = options.network ?? base.network;
    const security = options.security ?? base.security;
    const ulimits = [...base.ulimits, ...(options.ulimits ?? [])];
    const ssh = (options.ssh ?? []).map((socket, at) => ({
      ...socket,
      target: socket.target || `/run/buildkit/ssh_agent.${at}`,
    }));
    const op = baseOp(context, { ...options, platform }, true);
    const mounts = this.#marshalMounts(context, op);
    op.op = {
      $case: "exec",
      value: {
        meta: {
          args: [...options.args],
          env: execEnv(base.env, ssh[0]?.target).toArray(),
          cwd: base.dir,
          user: base.user,
          proxyEnv: options.proxyEnv,
          extraHosts: [...base.extraHosts, ...(options.extraHosts ?? [])],
          hostname: base.hostname,
          ulimit: ulimits,
          cgroupParent: options.cgroupParent ?? base.cgroupParent,
          removeMountStubsRecursive: true,
          validExitCodes: [...(base.validExitCodes ?? [])],
        },
        mounts: [
          ...mounts,
          ...(options.secrets ?? []).flatMap(secretMount),
          ...ssh.map((socket) => sshMount(socket, socket.target)),
        ],
        network,
        security,
        secretenv: (options.secrets ?? []).flatMap((secret) =>
          secret.env === undefined ? [] : [{ ID: secret.id, name: secret.env, optional: secret.optional ?? false }],
        ),
        cdiDevices: [...(options.cdiDevices ?? [])],
      },
    };
    const bytes = Op.encode(op).finish();
    return {
      digest: sha256(bytes),
      bytes,
      metadata: vertexMetadata(options, this.#caps(network, security, ulimits.length > 0)),
      locations: options.locations ?? [],
    };
  }

  #marshalMounts(context: MarshalContext, op: Op): Mount[] {
    let outputs = 0;
    return this.#mounts.map((mount) => ({
      ...emptyMount,
      input: addInput(op.inputs, context.input(mount.output)),
      selector: mount.selector ?? "",
      dest: mount.target,
      output: hasOutput(mount) ? outputs++ : -1,
      readonly: mount.readonly ?? false,
      mountType: mount.cache !== undefined ? MountType.CACHE : mount.tmpfs !== undefined ? MountType.TMPFS : 0,
      cacheOpt: mount.cache === undefined ? undefined : { ID: mount.cache.id, sharing: mount.cache.sharing },
      TmpfsOpt: mount.tmpfs === undefined ? undefined : { size: mount.tmpfs.sizeBytes },
      contentCache: mount.contentCache ?? MountContentCache.DEFAULT,
    }));
  }

  *#caps(network: NetMode, security: SecurityMode, ulimits: boolean): Generator<string> {
    const options = this.#options;
    yield "exec.meta.base";
    yield "exec.meta.setsdefaultpath";
    if (this.#base.validExitCodes !== undefined) yield "exec.validexitcode";
    if (ulimits) yield "exec.meta.ulimit";
    if (options.linuxResources !== undefined) yield "exec.meta.linux.resources";
    if (network !== NetMode.UNSET) yield "exec.meta.network";
    if (security === SecurityMode.INSECURE) yield "exec.meta.security";
    if (options.proxyEnv !== undefined) yield "exec.meta.proxyenv";
    for (const mount of this.#mounts) {
      if (mount.selector) yield "exec.mount.selector";
      if (mount.cache !== undefined) {
        yield "exec.mount.cache";
        yield "exec.mount.cache.sharing";
      } else if (mount.tmpfs !== undefined) {
        yield "exec.mount.tmpfs";
        if (mount.tmpfs.sizeBytes > 0) yield "exec.mount.tmpfs.size";
      } else if (mount.output !== undefined) {
        yield "exec.mount.bind";
      }
      if (mount.contentCache) yield "exec.mount.cache.content";
    }
    if (options.secrets?.length) yield "exec.mount.secret";
    if (options.secrets?.some((secret) => secret.env !== undefined)) yield "exec.secretenv";
    if (options.ssh?.length) yield "exec.mount.ssh";
    if (options.cdiDevices?.length) yield "exec.meta.cdi";
  }
}

const emptyMount: Mount = {
  input: -1,
  selector: "",
  dest: "",
  output: 0,
  readonly: false,
  mountType: MountType.BIND,
  TmpfsOpt: undefined,
  cacheOpt: undefined,
  secretOpt: undefined,
  SSHOpt: undefined,
  resultID: "",
  contentCache: MountContentCache.DEFAULT,
};

function hasOutput(mount: ExecMount): boolean {
  return !mount.noOutput && !mount.readonly && mount.cache === undefined && mount.tmpfs === undefined;
}

function execEnv(env: EnvList, sshTarget: string | undefined): EnvList {
  return sshTarget === undefined ? env : env.setDefault("SSH_AUTH_SOCK", sshTarget);
}

/** A secret's mount has output 0 on the wire although it has none: so it is in BuildKit's digests. */
function secretMount(secret: ExecSecret): Mount[] {
  if (secret.target === undefined) return [];
  const secretOpt = {
    ID: secret.id,
    uid: secret.uid ?? 0,
    gid: secret.gid ?? 0,
    mode: secret.mode ?? 0o400,
    optional: secret.optional ?? false,
  };
  return [{ ...emptyMount, dest: secret.target, mountType: MountType.SECRET, secretOpt }];
}

function sshMount(socket: ExecSsh, target: string): Mount {
  const SSHOpt = {
    ID: socket.id,
    uid: socket.uid ?? 0,
    gid: socket.gid ?? 0,
    mode: socket.mode ?? 0o600,
    optional: socket.optional ?? false,
  };
  return { ...emptyMount, dest: target, mountType: MountType.SSH, SSHOpt };
}
