import { CacheSharingOpt } from "../../../api/gen/ops.ts";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import {
  basePath,
  cleanPath,
  type ExecMount,
  type ExecSecret,
  type ExecSsh,
  FileAction,
  joinPath,
  type State,
  scratch,
} from "../../../llb/builder/index.ts";
import type { Mount, RunCommand } from "../instructions/index.ts";
import type { BuildStage } from "./build-stage.ts";
import type { DispatchContext } from "./dispatch-context.ts";

export interface LoweredMounts {
  readonly mounts: readonly ExecMount[];
  readonly secrets: readonly ExecSecret[];
  readonly ssh: readonly ExecSsh[];
}

/** `RUN --mount` as mounts of the exec (map e10, e24). @param sources one for each mount @throws BuildError */
export function lowerMounts(
  stage: BuildStage,
  command: RunCommand,
  sources: readonly BuildStage[],
  context: DispatchContext,
): LoweredMounts {
  const mounts: ExecMount[] = [];
  const secrets: ExecSecret[] = [];
  const ssh: ExecSsh[] = [];
  for (const [at, mount] of command.mounts.entries()) {
    const source = mountSource(mount, sources[at]);
    const note = { required: mount.required, location: command.location };
    if (mount.type === "secret") {
      const secret = lowerSecret(mount);
      if (!stage.outline.secrets.has(secret.id)) stage.outline.secrets.set(secret.id, note);
      secrets.push(secret);
    } else if (mount.type === "ssh") {
      const id = mount.cacheId || "default";
      if (mount.source !== "") throw invalid("ssh does not support source");
      if (!stage.outline.ssh.has(id)) stage.outline.ssh.set(id, note);
      ssh.push(lowerSsh(mount));
    } else {
      mounts.push(lowerDirectory(stage, mount, source?.state ?? context.buildContext, context));
      (source?.paths ?? stage.contextPaths).add(joinPath("/", mount.source));
    }
  }
  return { mounts, secrets, ssh };
}

/** The stage a mount shows; undefined: the build context. */
function mountSource(mount: Mount, source: BuildStage | undefined): BuildStage | undefined {
  if (mount.from === "" && mount.type !== "cache") return undefined;
  if (source?.dispatched === false) {
    const from = mount.from || "scratch";
    throw invalid(
      `cannot mount from stage ${JSON.stringify(from)} to ${JSON.stringify(mount.target)}, stage needs to be defined before current command`,
    );
  }
  return source;
}

const sharingModes = {
  shared: CacheSharingOpt.SHARED,
  private: CacheSharingOpt.PRIVATE,
  locked: CacheSharingOpt.LOCKED,
} as const;

function lowerDirectory(stage: BuildStage, mount: Mount, shown: State, context: DispatchContext): ExecMount {
  const target = cleanPath(mount.target).startsWith("/") ? mount.target : joinPath("/", stage.state.dir, mount.target);
  if (target === "/") throw invalid(`invalid mount target ${JSON.stringify(target)}`);
  const owned = mount.uid !== undefined || mount.gid !== undefined || mount.mode !== undefined;
  const path = joinPath("/", mount.source);
  let source = mount.type === "tmpfs" ? scratch() : shown;
  let selector: string | undefined = path === "/" ? undefined : path;
  if (selector === undefined && owned) {
    source = ownedDirectory(source, mount);
    selector = "/cache";
  }
  const cacheId = mount.cacheId || cleanPath(mount.target);
  return {
    target,
    source,
    ...(selector === undefined ? {} : { selector }),
    ...(mount.readOnly ? { readonly: true } : mount.type === "bind" ? { noOutput: true } : {}),
    ...(mount.type === "tmpfs" ? { tmpfs: { sizeBytes: mount.sizeLimitBytes } } : {}),
    ...(mount.type === "cache"
      ? {
          cache: {
            id: `${context.config.cacheIdNamespace}/${cacheId}`,
            sharing: sharingModes[mount.cacheSharing ?? "shared"],
          },
        }
      : {}),
  };
}

/** A mount's root cannot be given an owner, a directory in it can. */
function ownedDirectory(source: State, mount: Mount): State {
  const owner = { user: { id: mount.uid ?? 0 }, group: { id: mount.gid ?? 0 } };
  return source.file(FileAction.none.mkdir("/cache", mount.mode ?? 0o755, { owner }), {
    customName: "[internal] setting cache mount permissions",
  });
}

function lowerSecret(mount: Mount): ExecSecret {
  const id = mount.source || mount.cacheId || (mount.target === "" ? "" : basePath(mount.target));
  if (id === "") throw invalid("one of source, target required");
  const target = mount.target || (mount.env === undefined ? `/run/secrets/${basePath(id)}` : undefined);
  return {
    id,
    optional: !mount.required,
    ...(target === undefined ? {} : { target }),
    ...(mount.env === undefined ? {} : { env: mount.env }),
    ...fileOwner(mount),
  };
}

function lowerSsh(mount: Mount): ExecSsh {
  return {
    id: mount.cacheId,
    optional: !mount.required,
    ...(mount.target === "" ? {} : { target: mount.target }),
    ...fileOwner(mount),
  };
}

function fileOwner(mount: Mount): { readonly uid: number; readonly gid: number; readonly mode?: number } {
  return {
    uid: mount.uid ?? 0,
    gid: mount.gid ?? 0,
    ...(mount.mode === undefined ? {} : { mode: mount.mode }),
  };
}

function invalid(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
