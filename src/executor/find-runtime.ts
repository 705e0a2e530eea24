import { accessSync, constants } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { Cgroups } from "./cgroups.ts";

/** An OCI runtime's command line program. */
export interface OciRuntime {
  readonly name: "runc" | "crun";
  readonly path: string;
}

/** Names looked for, best first. `buildkit-runc` is what BuildKit's own packages bring. */
const candidates = ["crun", "buildkit-runc", "runc"];

/**
 * The runtime to use: the configured one, else the fastest found that works here. crun refuses to run where cgroup v1 and v2
 * are mixed, so runc goes first there.
 * @param configured name or absolute path
 * @throws BuildError FailedPrecondition when there is none
 */
export function findRuntime(
  options: { readonly configured?: string; readonly searchPath?: string; readonly cgroups?: Cgroups } = {},
): OciRuntime {
  const searchPath = options.searchPath ?? process.env["PATH"] ?? "";
  if (options.configured !== undefined && options.configured !== "") {
    const path = find(options.configured, searchPath);
    if (path === undefined) throw missing(options.configured);
    return { name: kindOf(path), path };
  }
  const mixed = (options.cgroups ?? new Cgroups()).mode === "hybrid";
  const order = mixed ? candidates.toReversed() : candidates;
  for (const name of order) {
    const path = find(name, searchPath);
    if (path !== undefined) return { name: kindOf(path), path };
  }
  throw missing("runc");
}

function kindOf(path: string): OciRuntime["name"] {
  return path.endsWith("crun") ? "crun" : "runc";
}

function missing(name: string): BuildError {
  return new BuildError(Code.FailedPrecondition, `failed to find ${name} binary`);
}

function find(name: string, searchPath: string): string | undefined {
  const paths = isAbsolute(name) ? [name] : searchPath.split(delimiter).map((directory) => join(directory, name));
  return paths.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
