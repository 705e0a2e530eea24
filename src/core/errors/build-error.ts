import { Code } from "./code.ts";

/** One typed detail of an error, as it travels in `google.rpc.Status.details` (a protobuf `Any`). */
export interface ErrorDetail {
  /** e.g. `github.com/moby/buildkit/errdefs.Source+json`; the value is then JSON text. */
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

export interface BuildErrorOptions {
  readonly cause?: unknown;
  readonly details?: readonly ErrorDetail[];
  /** True when a retry elsewhere may succeed: a fault of a machine or network, never the outcome of a build step. */
  readonly infrastructure?: boolean;
}

/** What crosses the bus in place of an error object. */
export interface WireError {
  readonly name: string;
  readonly code: number;
  readonly message: string;
  readonly infrastructure: boolean;
  readonly details: readonly ErrorDetail[];
}

/**
 * The one error base: a gRPC code, a message that reads well on its own, typed details, the cause.
 * A subclass exists only where a caller acts on it.
 */
export class BuildError extends Error {
  readonly code: Code;
  readonly details: readonly ErrorDetail[];
  readonly infrastructure: boolean;

  constructor(code: Code, message: string, options: BuildErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.details = options.details ?? [];
    this.infrastructure = options.infrastructure ?? false;
  }

  /**
   * Any thrown value as a BuildError. Aborts become Canceled, timeouts DeadlineExceeded, and errno errors Internal or,
   * when a resource ran out, ResourceExhausted (BuildKit util/grpcerrors and solver/errdefs/internal.go). The cause is kept.
   */
  static from(error: unknown): BuildError {
    if (error instanceof BuildError) return error;
    if (!(error instanceof Error)) return new BuildError(Code.Unknown, String(error), { cause: error });
    // What went wrong first is what to tell; that cleaning up failed as well mostly follows from it.
    if (error instanceof SuppressedError) return BuildError.from(error.suppressed);
    if (error.name === "AbortError") {
      const reason = error.cause;
      if (reason instanceof BuildError) return reason;
      return new BuildError(Code.Canceled, "context canceled", { cause: error });
    }
    if (error.name === "TimeoutError") {
      return new BuildError(Code.DeadlineExceeded, error.message || "context deadline exceeded", { cause: error });
    }
    const errno = (error as NodeJS.ErrnoException).code;
    if (typeof errno === "string" && outOfResource.has(errno)) {
      return new BuildError(Code.ResourceExhausted, error.message, { cause: error });
    }
    if (typeof errno === "string" && internalErrnos.has(errno)) {
      return new BuildError(Code.Internal, error.message, { cause: error });
    }
    return new BuildError(Code.Unknown, error.message, { cause: error });
  }

  /** The same error with context before the message (`context: message`), code and details kept; `more` details come first. */
  wrap(context: string, more: readonly ErrorDetail[] = []): BuildError {
    return new BuildError(this.code, context === "" ? this.message : `${context}: ${this.message}`, {
      cause: this,
      details: [...more, ...this.details],
      infrastructure: this.infrastructure,
    });
  }

  /** The same error, not to be retried: what was done before it cannot be done twice. */
  final(): BuildError {
    if (!this.infrastructure) return this;
    return new BuildError(this.code, this.message, { cause: this, details: this.details });
  }

  toWire(): WireError {
    return {
      name: this.name,
      code: this.code,
      message: this.message,
      infrastructure: this.infrastructure,
      details: this.details,
    };
  }

  /** It has the name of what was sent, not its class. */
  static fromWire(wire: WireError): BuildError {
    const error = new BuildError(wire.code as Code, wire.message, {
      details: wire.details,
      infrastructure: wire.infrastructure,
    });
    error.name = wire.name;
    return error;
  }
}

const outOfResource = new Set(["ENOSPC", "ENOMEM", "EMFILE", "ENFILE", "EDQUOT", "ENOBUFS"]);
const internalErrnos = new Set(["EIO", "EROFS", "ENOTCONN", "ESTALE", "EPIPE", "EUCLEAN", "EFBIG"]);

/** True when trying again on another agent, or later, may help. A step's own failure never is. */
export function isInfrastructureError(error: unknown): boolean {
  return error instanceof BuildError && error.infrastructure;
}
