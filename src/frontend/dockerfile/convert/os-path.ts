import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { cleanPath, joinPath } from "../../../llb/builder/index.ts";

/**
 * Paths of instructions by the os of the image: on Windows a drive letter `C:` is dropped and backslashes separate
 * (BuildKit util/system/path.go).
 */

export function toSlash(path: string, os: string): string {
  return os === "windows" ? path.replaceAll("\\", "/") : path;
}

/**
 * Absolute path with forward slashes. An absolute path stays as it is written; `keepSlash` keeps a final `/` or `/.` of a
 * relative one too.
 *
 * @throws BuildError for another drive than C: or a UNC path
 */
export function normalizePath(parent: string, path: string, os: string, keepSlash: boolean): string {
  const original = toSlash(path, os);
  let base = withoutDrive(toSlash(parent, os) || "/", os, keepSlash);
  if (!isAbsolute(base, os)) base = joinPath("/", base);
  let result = withoutDrive(original === "" ? base : original, os, keepSlash);
  if (!isAbsolute(result, os)) result = joinPath(base, result);
  if (keepSlash) {
    if (original.endsWith("/") && !result.endsWith("/")) result += "/";
    else if (original.endsWith("/.")) result = result === "/" ? "/." : `${result}/.`;
  }
  return toSlash(result, os);
}

/** Directory of WORKDIR with the separators of the os. @throws BuildError */
export function normalizeWorkdir(current: string, path: string, os: string): string {
  try {
    const result = normalizePath(current, path, os, false);
    return os === "windows" ? result.replaceAll("/", "\\") : result;
  } catch (error) {
    throw BuildError.from(error).wrap("normalizing working directory").wrap("normalizing workdir");
  }
}

export function isAbsolute(path: string, os: string): boolean {
  if (os !== "windows") return path.startsWith("/");
  try {
    return withoutDrive(path, os, false).startsWith("/");
  } catch {
    return false;
  }
}

/** @throws BuildError */
export function withoutDrive(path: string, os: string, keepSlash: boolean): string {
  if (os !== "windows") return path;
  if (path.length === 2 && path[1] === ":") throw invalid(`No relative path specified in ${JSON.stringify(path)}`);
  if (toSlash(path.slice(0, 2), os) === "//") throw invalid("UNC paths are not supported");
  const colon = path.indexOf(":");
  if (colon >= 0 && path.slice(0, colon).toLowerCase() !== "c") {
    throw invalid("The specified path is not on the system drive (C:)");
  }
  const rest = toSlash(path.slice(colon + 1), os);
  const clean = cleanPath(rest);
  return keepSlash && clean.length > 1 && rest.endsWith("/") ? `${clean}/` : clean;
}

function invalid(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
