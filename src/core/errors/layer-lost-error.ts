import type { LayerId } from "../values/layer.ts";
import { BuildError } from "./build-error.ts";

/** The detail that names the layers. It goes with the error over the bus; clients pass over details they do not know. */
const typeUrl = "buildfleet.v1/LostLayers+json";

/**
 * The bytes of a layer cannot be had: nobody has them, or what they have is damaged. A result from cache that has the layer is
 * worth nothing; its step can be done again.
 */
export class LayerLostError extends BuildError {
  /** Says what `failure` says. @param layers those that cannot be had, besides those that `failure` names */
  constructor(failure: BuildError, layers: readonly LayerId[] = []) {
    const { code, message, infrastructure } = failure;
    const value = new TextEncoder().encode(JSON.stringify(layers));
    super(code, message, { cause: failure, details: [{ typeUrl, value }, ...failure.details], infrastructure });
  }

  /** As what it follows from: a layer that is lost halfway through does not have the work done twice either. */
  override final(): BuildError {
    return new BuildError(this.code, this.message);
  }

  /** Also of one that has come over the bus, or has been given context. */
  static is(error: unknown): error is Error {
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      if (cause.name === "LayerLostError") return true;
    }
    return false;
  }

  /** Layers that an error names, also one that has come over the bus; none when it does not say. */
  static layersOf(error: unknown): readonly LayerId[] {
    const details = error instanceof BuildError ? error.details : [];
    return details
      .filter((detail) => detail.typeUrl === typeUrl)
      .flatMap(({ value }) => JSON.parse(new TextDecoder().decode(value)) as LayerId[]);
  }
}
