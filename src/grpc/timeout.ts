import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";

const unitMs: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/**
 * Milliseconds of a `grpc-timeout` header: up to eight digits and a unit (grpc/grpc, doc/PROTOCOL-HTTP2.md).
 * @throws BuildError Internal
 */
export function parseTimeout(text: string): number {
  const unit = unitMs[text.slice(-1)];
  const digits = text.slice(0, -1);
  if (unit === undefined || !/^[0-9]{1,8}$/.test(digits)) {
    throw new BuildError(Code.Internal, `malformed grpc-timeout: ${JSON.stringify(text)}`);
  }
  return Number(digits) * unit;
}

/** The header for a time from now; never zero, never more than eight digits. */
export function formatTimeout(ms: number): string {
  const micros = Math.max(1, Math.ceil(ms * 1000));
  if (micros < 1e8) return `${micros}u`;
  if (ms < 1e8 - 1) return `${Math.ceil(ms)}m`;
  return `${Math.min(1e8 - 1, Math.ceil(ms / 1000))}S`;
}
