import { type ExecOp, type Mount, MountContentCache, MountType } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { sha256 } from "../../core/values/digest.ts";
import type { Platform } from "../../core/values/platform.ts";
import type { ContentSelector } from "../../core/values/task.ts";
import { always, object, text, texts } from "./go-json.ts";
import { formatMount } from "./mount-text.ts";
import type { OpCacheKey, OpCacheKeyDep } from "./op-cache-key.ts";
import { execOpJson } from "./op-json.ts";
import { absolutePath, outermostPaths } from "./paths.ts";

const platformFields = object<Platform>(
  ["OS", "os", always(text, '""')],
  ["Arch", "architecture", always(text, '""')],
  ["Variant", "variant", text],
  ["OSVersion", "osVersion", text],
  ["OSFeatures", "osFeatures", texts],
);

/** BuildKit solver/llbsolver/ops/exec.go CacheMap: what does not change the result is taken out of the op (map d13, d18). */
export function execCacheKey(op: ExecOp, inputs: number, platform: Platform): OpCacheKey {
  const exec = `{"Type":"buildkit.exec.v0","Exec":${execOpJson(keyedExec(op))},`;
  return { digest: sha256(exec + platformFields(platform).slice(1)), deps: mountDeps(op, inputs) };
}

/** What of an op enters its own part of the key. Parts of inputs are in the links between keys. */
export function keyedExec(op: ExecOp): ExecOp {
  const mounts = op.mounts.map((mount) => ({ ...mount, selector: "", cacheOpt: reducedCacheOpt(mount) }));
  return {
    ...op,
    meta: op.meta && {
      ...op.meta,
      proxyEnv: undefined,
      extraHosts: op.meta.extraHosts.map(({ Host }) => ({ Host, IP: "" })),
    },
    mounts: mounts.length === 1 && mounts.every(isPlainRoot) ? [] : mounts,
  };
}

/** A cache mount's id counts only where it says no more than the place it is mounted at, as the Dockerfile's default does. */
function reducedCacheOpt({ cacheOpt, dest }: Mount): Mount["cacheOpt"] {
  if (cacheOpt === undefined) return undefined;
  const slash = cacheOpt.ID.indexOf("/");
  const withoutNamespace = slash < 0 ? undefined : cacheOpt.ID.slice(slash + 1);
  if (cacheOpt.sharing === 0 && (cacheOpt.ID === dest || withoutNamespace === dest)) return cacheOpt;
  return { ID: "", sharing: 0 };
}

function isPlainRoot(mount: Mount): boolean {
  return (
    mount.dest === "/" &&
    !mount.readonly &&
    mount.mountType === MountType.BIND &&
    mount.cacheOpt === undefined &&
    mount.SSHOpt === undefined &&
    mount.secretOpt === undefined &&
    mount.resultID === ""
  );
}

function mountDeps(op: ExecOp, inputs: number): OpCacheKeyDep[] {
  const deps = Array.from({ length: inputs }, () => ({ paths: [] as string[], byContent: false }));
  for (const mount of op.mounts) {
    if (mount.mountType === MountType.SECRET || mount.mountType === MountType.SSH) continue;
    if (mount.mountType === MountType.TMPFS || mount.input === -1) continue;
    const dep = deps[mount.input];
    if (dep === undefined) throw new BuildError(Code.Unknown, `invalid mountinput ${formatMount(mount)}`);
    const path = absolutePath(mount.selector);
    dep.paths.push(path);
    // The last mount of an input decides for all of them.
    dep.byContent = isByContent(mount, path);
  }
  return deps.map(({ paths, byContent }) => {
    if (paths.length === 0) return {};
    const selectorDigest = sha256(paths.join("\0"));
    return byContent ? { selectorDigest, contentSelectors: contentSelectors(paths) } : { selectorDigest };
  });
}

/**
 * A mount may stand for its content only if nothing outside the selected part can get into a result: it has no output, is
 * read-only, or is the whole input. The root is too expensive to be worth it.
 */
function isByContent(mount: Mount, path: string): boolean {
  const safe = mount.output === -1 || mount.readonly || path === "/";
  switch (mount.contentCache) {
    case MountContentCache.OFF:
      return false;
    case MountContentCache.ON:
      if (!safe) throw new BuildError(Code.Unknown, `invalid mount cache content ${formatMount(mount)}`);
      return true;
    default:
      return safe && mount.dest !== "/";
  }
}

function contentSelectors(paths: readonly string[]): ContentSelector[] {
  const outermost = outermostPaths(paths);
  const plain = { wildcard: false, includePatterns: [], excludePatterns: [] };
  if (outermost.includes("/")) return [{ ...plain, path: "/", followLinks: false }];
  return outermost.map((path) => ({ ...plain, path, followLinks: true }));
}
