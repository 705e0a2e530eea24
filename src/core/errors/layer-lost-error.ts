import { BuildError } from "./build-error.ts";

/**
 * The bytes of a layer cannot be had: nobody has them, or what they have is damaged. A result from cache that has the layer is
 * worth nothing; its step can be done again.
 */
export class LayerLostError extends BuildError {
  /** Says what `failure` says. */
  constructor(failure: BuildError) {
    const { code, message, details, infrastructure } = failure;
    super(code, message, { cause: failure, details, infrastructure });
  }

  /** Also of one that has come over the bus, or has been given context. */
  static is(error: unknown): error is Error {
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      if (cause.name === "LayerLostError") return true;
    }
    return false;
  }
}
