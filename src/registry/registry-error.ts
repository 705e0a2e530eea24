import { STATUS_CODES } from "node:http";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";

export interface RegistryFailure {
  /** HTTP status; absent when no answer came. */
  readonly status?: number;
  readonly host: string;
  readonly path: string;
  readonly cause?: unknown;
}

/**
 * A registry refused, lied or could not be reached. The code is Unknown throughout, as clients of BuildKit see it; act on
 * `status`. Retries have been made already when it is thrown.
 */
export class RegistryError extends BuildError {
  readonly status: number | undefined;
  readonly host: string;
  readonly path: string;

  constructor(message: string, failure: RegistryFailure, code: Code = Code.Unknown) {
    super(code, message, failure.cause === undefined ? {} : { cause: failure.cause });
    this.status = failure.status;
    this.host = failure.host;
    this.path = failure.path;
  }

  /** Same facts, other words. */
  restate(message: string): RegistryError {
    return new RegistryError(
      message,
      {
        host: this.host,
        path: this.path,
        cause: this,
        ...(this.status === undefined ? {} : { status: this.status }),
      },
      this.code,
    );
  }
}

/** `404 Not Found`. */
export function statusText(status: number): string {
  return `${status} ${STATUS_CODES[status] ?? ""}`.trim();
}

/** The registry's own words from an error body (OCI distribution-spec, error codes), one `code: message` per line. */
export function describeErrorBody(body: Uint8Array): string {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(body).toString("utf8"));
    const errors = (parsed as { errors?: unknown }).errors;
    if (!Array.isArray(errors)) return "";
    return errors
      .map((entry: { code?: unknown; message?: unknown }) => {
        const code = String(entry.code ?? "unknown")
          .toLowerCase()
          .replaceAll("_", " ");
        return typeof entry.message === "string" && entry.message !== "" ? `${code}: ${entry.message}` : code;
      })
      .join("\n");
  } catch {
    return "";
  }
}
