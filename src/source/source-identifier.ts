import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";

export type SourceScheme =
  | "docker-image"
  | "oci-layout"
  | "docker-image+blob"
  | "oci-layout+blob"
  | "git"
  | "http"
  | "https"
  | "local";

const schemes = new Set<string>([
  "docker-image",
  "oci-layout",
  "docker-image+blob",
  "oci-layout+blob",
  "git",
  "http",
  "https",
  "local",
] satisfies SourceScheme[]);

/** A source op as the solver hands it on (pb.SourceOp). */
export interface SourceRequest {
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
  /** Release whose behaviour is wanted; absent = the current one. */
  readonly compatibilityVersion?: number;
}

/**
 * Splits `scheme://ref` (BuildKit source/manager.go).
 * @throws BuildError Unknown `failed to parse <text>: invalid`, `unknown scheme foo: not found`
 */
export function splitIdentifier(identifier: string): { readonly scheme: SourceScheme; readonly ref: string } {
  const at = identifier.indexOf("://");
  if (at < 0) throw sourceError(`failed to parse ${identifier}: invalid`);
  const scheme = identifier.slice(0, at);
  if (!isScheme(scheme)) throw sourceError(`unknown scheme ${scheme}: not found`);
  return { scheme, ref: identifier.slice(at + 3) };
}

function isScheme(text: string): text is SourceScheme {
  return schemes.has(text);
}

/** What users see of a bad source carries code Unknown, as in BuildKit. */
export function sourceError(message: string, cause?: unknown): BuildError {
  return new BuildError(Code.Unknown, message, cause === undefined ? {} : { cause });
}
