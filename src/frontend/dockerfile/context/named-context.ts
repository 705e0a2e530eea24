import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { hostPlatform, type Platform } from "../../../core/values/platform.ts";
import {
  DeferredOutput,
  familiarReference,
  formatReference,
  http,
  image,
  type LocalOptions,
  local,
  marshalState,
  ociLayout,
  parseReference,
  State,
  scratch,
  withDefaultTag,
} from "../../../llb/builder/index.ts";
import { formatPlatformFully, type ImageConfig, parseImage } from "../image/index.ts";
import { type BuildContext, gitContext } from "./build-context.ts";
import { parseIgnoreFile } from "./ignore-file.ts";

const maxRecursion = 10;

export interface NamedContextOptions {
  readonly platform?: Platform | undefined;
  readonly resolveMode?: string;
  /** Paths of a local context which the build uses; asked when the graph is marshalled. */
  readonly localOptions?: () => LocalOptions;
}

export interface LoadedContext {
  readonly state: State;
  readonly image?: ImageConfig;
}

/** The context `name` of the client (`--build-context`); one for exactly this platform wins. @throws BuildError */
export function findNamedContext(
  context: BuildContext,
  name: string,
  options: NamedContextOptions,
): NamedContext | undefined {
  let familiar: string;
  try {
    familiar = familiarReference(parseReference(name)).replace(/:latest$/, "");
  } catch (error) {
    throw BuildError.from(error).wrap(`invalid context name ${name}`);
  }
  const platform = formatPlatformFully(options.platform ?? hostPlatform());
  for (const key of [`${familiar}::${platform}`, familiar]) {
    const input = context.opts[`context:${key}`];
    if (input !== undefined) return new NamedContext(context, familiar, key, input, options);
  }
  return undefined;
}

/** A context by name, not yet loaded (BuildKit frontend/dockerui/namedcontext.go). */
export class NamedContext {
  readonly #context: BuildContext;
  readonly #name: string;
  /** Name with platform, as the client gave it. */
  readonly #key: string;
  readonly #input: string;
  readonly #options: NamedContextOptions;

  constructor(context: BuildContext, name: string, key: string, input: string, options: NamedContextOptions) {
    this.#context = context;
    this.#name = name;
    this.#key = key;
    this.#input = input;
    this.#options = options;
  }

  load(signal: AbortSignal): Promise<LoadedContext> {
    return this.#load(this.#input, 0, signal);
  }

  async #load(input: string, depth: number, signal: AbortSignal): Promise<LoadedContext> {
    if (depth > maxRecursion) {
      throw unknown(
        `context recursion limit exceeded; this may indicate a cycle in the provided source policies: ${input}`,
      );
    }
    const colon = input.indexOf(":");
    if (colon < 0) throw unknown(`invalid context specifier ${input} for ${this.#key}`);
    const rest = input.slice(colon + 1);
    const kind = input.startsWith("git@") ? "git" : input.slice(0, colon);
    switch (kind) {
      case "docker-image":
        return this.#loadImage(rest.replace(/^\/\//, ""), depth, signal);
      case "git":
        return { state: this.#required(gitContext(input), `invalid git context ${input}`) };
      case "http":
      case "https":
        return {
          state:
            gitContext(input) ?? http(input, { filename: "context", customName: `[context ${this.#key}] ${input}` }),
        };
      case "oci-layout":
        return this.#loadOciLayout(rest.replace(/^\/\//, ""), signal);
      case "local":
        return { state: await this.#loadLocal(rest, signal) };
      case "input":
        return this.#loadInput(rest);
      default:
        throw unknown(`unsupported context source ${kind} for ${this.#key}`);
    }
  }

  async #loadImage(text: string, depth: number, signal: AbortSignal): Promise<LoadedContext> {
    if (text === "scratch") return { state: scratch() };
    const { platform, resolveMode } = this.#options;
    const reference = formatReference(withDefaultTag(parseReference(text)));
    const resolved = await this.#context.resolveImage(
      {
        reference,
        logName: `[context ${this.#key}] load metadata for ${text}`,
        ...(platform === undefined ? {} : { platform }),
        ...(resolveMode === undefined ? {} : { resolveMode }),
      },
      signal,
    );
    // A source policy put something else in its place.
    if (resolved.kind === "other") {
      return this.#load(resolved.identifier.replace(/^local:\/\//, "local:"), depth + 1, signal);
    }
    const config = parseImage(resolved.config);
    config.created = undefined;
    const state = image(resolved.reference, {
      customName: `[context ${this.#key}] ${text}`,
      platform,
    });
    return { state: withImageConfig(state, config), image: config };
  }

  async #loadOciLayout(text: string, signal: AbortSignal): Promise<LoadedContext> {
    const parts = /^([^@]+?)(?::[\w][\w.-]*)?@(.+)$/.exec(text);
    const [, storeId = "", digest = ""] = parts ?? [];
    if (parts === null) throw unknown(`oci-layout reference ${JSON.stringify(text)} has no digest`);
    const { platform } = this.#options;
    // The store decides what is loaded; the name is for people.
    const reference = formatReference({ ...parseReference(this.#name), digest });
    const { sessionId } = this.#context;
    const resolved = await this.#context.resolveImage(
      {
        reference,
        logName: `[context ${this.#key}] load metadata for ${reference}`,
        store: { ...(sessionId === "" ? {} : { "oci.session": sessionId }), "oci.store": storeId },
        ...(platform === undefined ? {} : { platform }),
      },
      signal,
    );
    if (resolved.kind === "other") throw unknown(`oci-layout reference ${reference} has no image config`);
    const config = parseImage(resolved.config);
    const state = ociLayout(reference, {
      customName: `[context ${this.#key}] OCI load from client`,
      sessionId,
      storeId,
      platform,
    });
    return { state: withImageConfig(state, config), image: config };
  }

  async #loadLocal(name: string, signal: AbortSignal): Promise<State> {
    const context = this.#context;
    const sessionId = context.sessionFor(name);
    const ignoreState = local(name, {
      sessionId,
      followPaths: [".dockerignore"],
      sharedKeyHint: `context:${this.#key}-.dockerignore`,
      customName: `[context ${this.#key}] load .dockerignore`,
      differ: "none",
    });
    const { ref } = await context.bridge.solve({ definition: marshalState(ignoreState), evaluate: true }, signal);
    let excludePatterns: readonly string[] = [];
    try {
      const data = await ref?.readFile(".dockerignore", undefined, signal);
      excludePatterns = data === undefined ? [] : parseIgnoreFile(data);
    } catch {
      signal.throwIfAborted(); // without the file, nothing is ignored
    }
    const sharedKey = context.opts[`sharedkey:localdir:${this.#key}`] ?? "";
    const load = () =>
      local(name, {
        customName: `[context ${this.#key}] load from client`,
        sessionId,
        sharedKeyHint: `context:${this.#key}-${sharedKey}`,
        excludePatterns,
        ...this.#options.localOptions?.(),
      });
    return State.of(new DeferredOutput(() => load().output));
  }

  #loadInput(name: string): LoadedContext {
    const state = this.#context.input(name);
    if (state === undefined) throw unknown(`invalid input ${name} for ${this.#key}`);
    const metadata = this.#context.opts[`input-metadata:${name}`];
    if (metadata === undefined) return { state };
    let values: Readonly<Record<string, string>>;
    try {
      values = JSON.parse(metadata);
    } catch (error) {
      throw BuildError.from(error).wrap(`failed to parse input metadata ${metadata}`);
    }
    const encoded = values["containerimage.config"];
    if (encoded === undefined) return { state };
    const config = parseImage(Buffer.from(encoded, "base64"));
    return { state: withImageConfig(state, config), image: config };
  }

  #required(state: State | undefined, message: string): State {
    if (state === undefined) throw unknown(message);
    return state;
  }
}

/** The state with variables, directory and platform of an image. */
function withImageConfig(state: State, config: ImageConfig): State {
  const variables = config.config.env.pairs().filter(([key]) => key !== "");
  const result = state.withEnvs(variables).withDir(config.config.workingDir);
  const { platform } = config;
  return platform.os !== "" && platform.architecture !== "" ? result.withPlatform(platform) : result;
}

function unknown(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
