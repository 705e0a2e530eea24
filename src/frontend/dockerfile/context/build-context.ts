import type { Definition, SourceInfo, SourceOp } from "../../../api/gen/ops.ts";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import type {
  BridgeRef,
  BridgeWarning,
  LlbBridge,
  SourceMeta,
  SourceMetaRequest,
} from "../../../core/seams/llb-bridge.ts";
import type { Digest } from "../../../core/values/digest.ts";
import type { Platform } from "../../../core/values/platform.ts";
import {
  basePath,
  definitionHead,
  dirPath,
  FileAction,
  git,
  http,
  joinPath,
  type LocalOptions,
  local,
  marshalState,
  type SourceMap,
  SourceVertex,
  type State,
  scratch,
  stateFromDefinition,
} from "../../../llb/builder/index.ts";
import { parseBool } from "../text.ts";
import { isArchive } from "./archive-magic.ts";
import { withPrefix } from "./build-config.ts";
import { gitOptions, parseGitRef } from "./git-ref.ts";
import { parseIgnoreFile } from "./ignore-file.ts";
import { SourceMetaCache } from "./source-meta-cache.ts";

const defaultDockerfile = "Dockerfile";
const ignoreFile = ".dockerignore";

/** The Dockerfile as read, and where warnings about it go. */
export interface DockerfileSource {
  readonly sourceMap: SourceMap;
  readonly info: SourceInfo;
  warn(warning: Omit<BridgeWarning, "vertex" | "info">): void;
}

export interface ImageRequest {
  /** Normalized. */
  readonly reference: string;
  readonly logName?: string;
  readonly platform?: Platform;
  readonly resolveMode?: string;
  /** OCI layout of a client, as source attributes. */
  readonly store?: Readonly<Record<string, string>>;
}

/** An image's identity and config; or what a source policy put in its place. */
export type ResolvedImage =
  | { readonly kind: "image"; readonly reference: string; readonly digest: Digest; readonly config: Uint8Array }
  | { readonly kind: "other"; readonly identifier: string };

/** A context that comes from somewhere else than a directory of the client. */
interface RemoteContext {
  /** Undefined: the client's directory. */
  readonly context?: State;
  readonly dockerfile?: State;
  readonly filename: string;
  /** Source of a remote context, for SOURCE_DATE_EPOCH. */
  readonly source?: SourceOp;
}

/** Reads `[name] …` from the frontend attributes: context, Dockerfile and ignore file (BuildKit frontend/dockerui). */
export class BuildContext {
  readonly bridge: LlbBridge;
  readonly opts: Readonly<Record<string, string>>;
  readonly inputs: Readonly<Record<string, Definition>>;
  readonly #metadata: SourceMetaCache;
  readonly #localSessions: ReadonlyMap<string, string>;
  #remote: Promise<RemoteContext> | undefined;
  /** Contents of `<Dockerfile>.dockerignore`, when there is one. */
  #ownIgnoreFile: { readonly data: Uint8Array; readonly name: string } | undefined;
  #ignorePatterns: Promise<readonly string[]> | undefined;

  constructor(bridge: LlbBridge, opts: Readonly<Record<string, string>>, inputs: Readonly<Record<string, Definition>>) {
    this.bridge = bridge;
    this.opts = opts;
    this.inputs = inputs;
    this.#metadata = new SourceMetaCache(bridge);
    this.#localSessions = withPrefix(opts, "local-sessionid:");
  }

  /** Session that has the directory `name`; empty when the build has no session. */
  sessionFor(name: string): string {
    return this.#localSessions.get(name) ?? this.sessionId;
  }

  get sessionId(): string {
    return this.bridge.sessionIds[0] ?? "";
  }

  resolveSourceMeta(request: SourceMetaRequest, signal: AbortSignal): Promise<SourceMeta> {
    return this.#metadata.resolve(request, signal);
  }

  /** @throws BuildError `failed to resolve source metadata for …` */
  async resolveImage({ reference, store, ...request }: ImageRequest, signal: AbortSignal): Promise<ResolvedImage> {
    const source: SourceOp =
      store === undefined
        ? { identifier: `docker-image://${reference}`, attrs: {} }
        : { identifier: `oci-layout://${reference}`, attrs: { ...store } };
    try {
      const meta = await this.resolveSourceMeta({ ...request, source, image: { noConfig: false } }, signal);
      const { identifier } = meta.source;
      if (meta.image === undefined) return { kind: "other", identifier };
      const resolved = identifier.replace(/^(?:docker-image|oci-layout):\/\//, "");
      return { kind: "image", reference: resolved, ...meta.image };
    } catch (error) {
      throw BuildError.from(error).wrap(`failed to resolve source metadata for ${reference}`);
    }
  }

  /** @throws BuildError `failed to read dockerfile: …` */
  async readDockerfile(signal: AbortSignal): Promise<DockerfileSource> {
    const { dockerfile, filename } = await this.#remoteContext(signal);
    const lowerCase = basePath(filename) === defaultDockerfile ? siblingOf(filename, "dockerfile") : undefined;
    const ignoreName = `${filename}${ignoreFile}`;
    const state = dockerfile ?? this.#localDockerfile(filename, ignoreName, lowerCase);
    const definition = marshalState(state);
    const ref = await this.solveRef(definition, "failed to resolve dockerfile", signal);
    const data = await readFirst(ref, lowerCase === undefined ? [filename] : [filename, lowerCase], signal);
    const ignored = await readOptional(ref, ignoreName, signal);
    if (ignored !== undefined) this.#ownIgnoreFile = { data: ignored, name: ignoreName };

    const sourceMap: SourceMap = { filename, language: defaultDockerfile, data, definition };
    const info: SourceInfo = { filename, language: defaultDockerfile, data, definition };
    const head = definitionHead(definition) as Digest | undefined;
    return {
      sourceMap,
      info,
      warn: (warning) => this.bridge.warn({ ...warning, info, ...(head === undefined ? {} : { vertex: head }) }),
    };
  }

  #localDockerfile(filename: string, ignoreName: string, lowerCase: string | undefined): State {
    const name = this.opts["dockerfilekey"] ?? "dockerfile";
    return local(name, {
      followPaths: [filename, ignoreName, ...(lowerCase === undefined ? [] : [lowerCase])],
      sessionId: this.sessionFor(name),
      sharedKeyHint: name,
      customName: `[internal] load build definition from ${filename}`,
      differ: "none",
    });
  }

  /** @param options restrictions of what is transferred from a client's directory */
  async mainContext(options: LocalOptions, signal: AbortSignal): Promise<State> {
    const { context } = await this.#remoteContext(signal);
    if (context !== undefined) return context;
    return local("context", {
      sessionId: this.sessionFor("context"),
      excludePatterns: await this.ignorePatterns(signal),
      sharedKeyHint: "context",
      customName: "[internal] load build context",
      ...options,
    });
  }

  /** Patterns of the ignore file; none where the context is not a client's directory. */
  async ignorePatterns(signal: AbortSignal): Promise<readonly string[]> {
    if ((await this.#remoteContext(signal)).context !== undefined) return [];
    this.#ignorePatterns ??= this.#readIgnorePatterns(signal);
    return this.#ignorePatterns;
  }

  async #readIgnorePatterns(signal: AbortSignal): Promise<readonly string[]> {
    const own = this.#ownIgnoreFile;
    if (own !== undefined) return parseIgnoreFile(own.data);
    const state = local("context", {
      sessionId: this.sessionFor("context"),
      followPaths: [ignoreFile],
      sharedKeyHint: `context-${ignoreFile}`,
      customName: `[internal] load ${ignoreFile}`,
      differ: "none",
    });
    const ref = await this.solveRef(marshalState(state), undefined, signal);
    return parseIgnoreFile((await readOptional(ref, ignoreFile, signal)) ?? new Uint8Array());
  }

  /** Source of a context by URL: what its time stamp can be asked of. */
  async remoteSource(signal: AbortSignal): Promise<SourceOp | undefined> {
    return (await this.#remoteContext(signal)).source;
  }

  /** The single ref of a definition. */
  async solveRef(definition: Definition, failure: string | undefined, signal: AbortSignal): Promise<BridgeRef> {
    try {
      const { ref } = await this.bridge.solve({ definition }, signal);
      if (ref === undefined) throw new BuildError(Code.Internal, "failed to get single ref: result has none");
      return ref;
    } catch (error) {
      throw failure === undefined ? error : BuildError.from(error).wrap(failure);
    }
  }

  /** An input of this frontend. @throws BuildError when it is an empty definition */
  input(name: string): State | undefined {
    const definition = this.inputs[name];
    if (definition === undefined) return undefined;
    if (definition.def.length > 0) return stateFromDefinition(definition);
    const text = "failed to get frontend inputs: invalid nil input definition to definition op";
    throw new BuildError(Code.Unknown, `${text} (${JSON.stringify(name)})`);
  }

  #remoteContext(signal: AbortSignal): Promise<RemoteContext> {
    this.#remote ??= this.#detectRemoteContext(signal);
    return this.#remote;
  }

  async #detectRemoteContext(signal: AbortSignal): Promise<RemoteContext> {
    const { opts } = this;
    const url = opts[opts["contextkey"] ?? "context"] ?? "";
    const found = this.#gitContext(url) ?? (await this.#httpContext(url, signal)) ?? this.#inputContext();
    const subdir = opts["contextsubdir"];
    const context =
      found.context === undefined || subdir === undefined
        ? found.context
        : scratch().file(FileAction.none.copy(found.context, subdir, "/", { contentsOnly: true }));
    const { dockerfile, ...others } = found;
    return {
      ...others,
      ...(context === undefined ? {} : { context }),
      // A named local directory for the Dockerfile wins over one inside a remote context.
      ...(dockerfile === undefined || opts["dockerfilekey"] !== undefined ? {} : { dockerfile }),
    };
  }

  get #filename(): string {
    return this.opts["filename"] ?? defaultDockerfile;
  }

  #gitContext(url: string): RemoteContext | undefined {
    const keepGitDir = parseBool(this.opts["build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR"] ?? "");
    const commitTimes = Boolean(this.opts["build-arg:SOURCE_DATE_EPOCH"]);
    const state = gitContext(url, { keepGitDir: keepGitDir ?? false, commitTimes });
    if (state === undefined) return undefined;
    return { context: state, dockerfile: state, filename: this.#filename, ...sourcePart(state) };
  }

  async #httpContext(url: string, signal: AbortSignal): Promise<RemoteContext | undefined> {
    if (!/^https?:\/\//.test(url)) return undefined;
    const filename = "context";
    const state = http(url, { filename, customName: "[internal] load remote build context" });
    const ref = await this.solveRef(marshalState(state), "failed to resolve httpcontext", signal);
    let header: Uint8Array;
    try {
      header = await ref.readFile(filename, { offset: 0, length: 1024 }, signal);
    } catch (error) {
      throw BuildError.from(error).wrap("failed to read downloaded context");
    }
    if (!isArchive(header)) return { context: state, dockerfile: state, filename, ...sourcePart(state) };
    const unpacked = scratch().file(FileAction.none.copy(state, `/${filename}`, "/", { attemptUnpack: true }));
    return { context: unpacked, dockerfile: unpacked, filename: this.#filename, ...sourcePart(state) };
  }

  #inputContext(): RemoteContext {
    const dockerfile = this.input(this.opts["dockerfilekey"] ?? "dockerfile");
    const context = this.input("context");
    return {
      filename: this.#filename,
      ...(context === undefined ? {} : { context }),
      ...(dockerfile === undefined ? {} : { dockerfile }),
    };
  }
}

/** A git URL as a context; undefined when it is none. @throws BuildError for a bad query */
export function gitContext(
  url: string,
  options: { readonly keepGitDir?: boolean; readonly commitTimes?: boolean } = {},
): State | undefined {
  const ref = parseGitRef(url);
  if (ref === undefined) return undefined;
  return git(ref.remote, {
    ...(options.commitTimes ? { mtime: "commit" } : {}),
    ...gitOptions(ref),
    keepGitDir: (ref.keepGitDir ?? false) || (options.keepGitDir ?? false),
    customName: `[internal] load git source ${url}`,
  });
}

function sourcePart(state: State): { readonly source?: SourceOp } {
  const vertex = state.output;
  if (!(vertex instanceof SourceVertex)) return {};
  return { source: { identifier: vertex.identifier, attrs: { ...vertex.attrs } } };
}

function siblingOf(path: string, name: string): string {
  return joinPath(dirPath(path), name);
}

async function readFirst(ref: BridgeRef, names: readonly string[], signal: AbortSignal): Promise<Uint8Array> {
  let failure: unknown;
  for (const name of names) {
    try {
      return await ref.readFile(name, undefined, signal);
    } catch (error) {
      signal.throwIfAborted();
      failure ??= error;
    }
  }
  throw BuildError.from(failure).wrap("failed to read dockerfile");
}

async function readOptional(ref: BridgeRef, name: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
  try {
    return await ref.readFile(name, undefined, signal);
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
