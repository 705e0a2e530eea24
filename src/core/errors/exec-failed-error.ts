import { BuildError, type ErrorDetail } from "./build-error.ts";
import { Code } from "./code.ts";

/** Exit code of a process that has none (BuildKit frontend/gateway/pb UnknownExitStatus). */
export const unknownExitCode = 255;

/**
 * A step's process ended in a way that was not asked for. A result, not a fault: it is never retried. On the wire it carries
 * `gatewayapi.ExitMessage` as BuildKit's does (frontend/gateway/pb/exit.go).
 */
export class ExecFailedError extends BuildError {
  readonly exitCode: number;
  /** What was in use when a process was killed for want of memory. */
  readonly outOfMemoryBytes: number | undefined;

  /** @param message default `exit code: N` */
  constructor(
    exitCode: number,
    message = `exit code: ${exitCode}`,
    options: { readonly cause?: unknown; readonly outOfMemoryBytes?: number | undefined } = {},
  ) {
    super(Code.Unknown, message, { ...options, details: [exitDetail(exitCode)] });
    this.exitCode = exitCode;
    this.outOfMemoryBytes = options.outOfMemoryBytes;
  }

  override wrap(context: string): ExecFailedError {
    const { exitCode, outOfMemoryBytes } = this;
    return new ExecFailedError(exitCode, `${context}: ${this.message}`, { cause: this, outOfMemoryBytes });
  }
}

/** The exit code that an error tells of; undefined when it tells of none. */
export function exitCodeOf(error: BuildError): number | undefined {
  const detail = error.details.find(({ typeUrl }) => typeUrl === exitDetailType);
  return detail === undefined ? undefined : JSON.parse(new TextDecoder().decode(detail.value)).Code;
}

const exitDetailType = "github.com/moby/buildkit/gatewayapi.ExitMessage+json";

export function exitDetail(exitCode: number): ErrorDetail {
  return {
    typeUrl: exitDetailType,
    value: new TextEncoder().encode(JSON.stringify({ Code: exitCode })),
  };
}
