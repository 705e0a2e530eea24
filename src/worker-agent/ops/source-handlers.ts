import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { RunContext } from "../../core/seams/op-runner.ts";
import type { OutputsResult, ResolvedSource } from "../../core/values/task.ts";
import { type ResolveOptions, type SourceHandler, type SourceRequest, splitIdentifier } from "../../source/index.ts";

/** `local://` needs the whole context of its task (its transfers build on earlier layers); the others need less. */
export interface LocalFetcher {
  resolve(source: SourceRequest, context: RunContext, options?: ResolveOptions): Promise<ResolvedSource>;
  fetch(source: SourceRequest, resolved: ResolvedSource | undefined, context: RunContext): Promise<OutputsResult>;
}

/** The sources an agent can fetch, by scheme. */
export class SourceHandlers {
  readonly #git: SourceHandler;
  readonly #http: SourceHandler;
  readonly #blob: SourceHandler;
  readonly #local: LocalFetcher;

  constructor(options: {
    readonly git: SourceHandler;
    readonly http: SourceHandler;
    readonly blob: SourceHandler;
    readonly local: LocalFetcher;
  }) {
    this.#git = options.git;
    this.#http = options.http;
    this.#blob = options.blob;
    this.#local = options.local;
  }

  /** @throws BuildError `unknown scheme foo: not found`, or Internal for images, which never come here */
  of(source: SourceRequest): LocalFetcher {
    const { scheme } = splitIdentifier(source.identifier);
    switch (scheme) {
      case "git":
        return this.#git;
      case "http":
      case "https":
        return this.#http;
      case "docker-image+blob":
      case "oci-layout+blob":
        return this.#blob;
      case "local":
        return this.#local;
      case "docker-image":
      case "oci-layout":
        throw new BuildError(Code.Internal, `no handler for ${scheme}`);
    }
  }
}
