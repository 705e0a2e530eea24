import { posix } from "node:path";
import { digestSet } from "../../exporters/index.ts";
import { parseGitRef } from "../../frontend/index.ts";
import type { Capture, Lent } from "./capture.ts";
import { commitDigest, type Material } from "./materials.ts";
import { redactUrl } from "./redact-url.ts";

/** Where a frontend's main input came from. Empty fields are left out. */
export interface ConfigSource {
  readonly uri?: string;
  readonly digest?: Material["digest"];
  readonly path?: string;
}

/** What a frontend was asked; fields in Go's order. */
export interface RequestParameters {
  readonly frontend?: string;
  readonly args?: Readonly<Record<string, string>>;
  readonly secrets?: readonly { readonly id: string; readonly optional?: true }[];
  readonly ssh?: readonly { readonly id: string; readonly optional?: true }[];
  readonly locals?: readonly { readonly name: string }[];
  readonly inputs?: Readonly<Record<string, RequestProvenance>>;
  readonly root?: RequestProvenance;
  readonly compatibilityVersion?: number;
}

export interface RequestProvenance {
  readonly configSource: ConfigSource;
  readonly request: RequestParameters;
}

/** A frontend's name and options. */
export interface AskedFrontend {
  readonly frontend: string;
  readonly options: Readonly<Record<string, string>>;
}

/** They depend on the host, not on what is built. */
const hostOptions = new Set(["cgroup-parent", "image-resolve-mode", "platform", "cache-imports"]);

/** A request as provenance shows it (BuildKit solver/llbsolver/provenance/predicate.go, RequestProvenance and FilterArgs). */
export function requestProvenance({ frontend, options }: AskedFrontend, capture: Capture): RequestProvenance {
  const args = new Map(shownOptions(options));
  const configSource: { uri?: string; digest?: Material["digest"]; path?: string } = {};
  const contextKey = args.get("contextkey") || (args.get("input:context") ? "input:context" : "context");
  const context = args.get(contextKey);
  if (context) {
    const found = findSource(context, capture);
    configSource.uri = redactUrl(found?.uri ?? context);
    if (found !== undefined) configSource.digest = found.digest;
    args.delete(contextKey);
  }
  const path = args.get("filename");
  if (path) {
    configSource.path = path;
    args.delete("filename");
  }
  return {
    configSource,
    request: {
      ...(frontend === "" ? {} : { frontend }),
      ...(args.size === 0 ? {} : { args: Object.fromEntries(args) }),
    },
  };
}

/** Secrets or SSH agents as provenance shows them; nothing when there are none. */
export function lentParameters(all: readonly Lent[]): RequestParameters["secrets"] {
  if (all.length === 0) return undefined;
  return all.map(({ id, optional }) => ({ id, ...(optional ? { optional } : {}) }));
}

/** By key, sorted. */
function shownOptions(options: Readonly<Record<string, string>>): readonly (readonly [string, string])[] {
  const contextKey = options["contextkey"] || "context";
  return Object.entries(options)
    .filter(([key]) => !hostOptions.has(key) && !key.startsWith("attest:"))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => [key, key === contextKey || key.startsWith("context:") ? redactUrl(value) : value]);
}

function findSource(context: string, { git, http }: Capture): Material | undefined {
  const ref = gitRefOf(context);
  const url = ref === undefined ? context : fragmentUrl(ref.remote, ref.ref, "");
  const repository = git.find((source) => source.url === url);
  if (repository !== undefined) {
    const uri = ref === undefined ? context : fragmentUrl(ref.remote, ref.ref, posix.join("/", ref.subdir).slice(1));
    return { uri, digest: commitDigest(repository.commit) };
  }
  const file = http.find((source) => source.url === url);
  return file === undefined ? undefined : { uri: file.url, digest: digestSet([file.digest]) };
}

function gitRefOf(text: string) {
  try {
    return parseGitRef(text);
  } catch {
    // Whatever it is, it is no git URL.
    return undefined;
  }
}

function fragmentUrl(remote: string, ref: string, subdir: string): string {
  if (ref === "" && subdir === "") return remote;
  return `${remote}#${ref}${subdir === "" ? "" : `:${subdir}`}`;
}
