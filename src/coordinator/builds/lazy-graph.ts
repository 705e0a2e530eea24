import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { LlbEdge } from "../../llb/definition/index.ts";
import { withSignal } from "../../util/abort.ts";

/** The graph of a definition, loaded when first asked for and only once: a policy is not asked again about what it has seen. */
export class LazyGraph {
  readonly #load: () => Promise<LlbEdge>;
  #loading: Promise<LlbEdge> | undefined;
  #loaded: LlbEdge | undefined;

  constructor(load: () => Promise<LlbEdge>) {
    this.#load = load;
  }

  /** @param signal of the caller; the loading goes on for others */
  load(signal: AbortSignal): Promise<LlbEdge> {
    this.#loading ??= this.#load().then((edge) => {
      this.#loaded = edge;
      return edge;
    });
    return withSignal(this.#loading, signal);
  }

  get loaded(): LlbEdge | undefined {
    return this.#loaded;
  }

  /** @throws BuildError before it is loaded */
  require(): LlbEdge {
    if (this.#loaded === undefined) throw new BuildError(Code.Internal, "definition is not loaded yet");
    return this.#loaded;
  }
}
