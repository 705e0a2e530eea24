import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";

/** The bytes are no valid tar archive, or ask for something that is not allowed in one. */
export class TarError extends BuildError {
  constructor(message: string, options: { readonly cause?: unknown } = {}) {
    super(Code.InvalidArgument, `archive/tar: ${message}`, options);
  }
}
