import { randomBytes } from "node:crypto";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import type { Platform } from "../../../core/values/platform.ts";
import {
  basePath,
  type CopyOptions,
  FileAction,
  git,
  http,
  joinPath,
  merge,
  parseOwnership,
  type State,
  scratch,
  type VertexOptions,
} from "../../../llb/builder/index.ts";
import { type GitRef, gitOptions, parseGitRef } from "../context/index.ts";
import type { AddCommand, CopyCommand, SourceContent } from "../instructions/index.ts";
import type { BuildStage } from "./build-stage.ts";
import { checkCopySource, type IgnoreMatcher } from "./checks.ts";
import { parseChecksum } from "./checksum.ts";
import { parseChmod } from "./chmod-value.ts";
import { type DispatchContext, locationsOf } from "./dispatch-context.ts";
import { addHistory } from "./history.ts";
import { isAbsolute, normalizePath, toSlash, withoutDrive } from "./os-path.ts";
import { nextStepPrefix, stepText } from "./vertex-names.ts";

/** Where COPY and ADD take paths from. */
export interface CopySource {
  readonly state: State;
  /** For the build context only. */
  readonly ignoreMatcher: IgnoreMatcher | undefined;
}

/** COPY and ADD (map e22, e23; BuildKit frontend/dockerfile/dockerfile2llb/convert_copy.go). @throws BuildError */
export function dispatchCopy(
  stage: BuildStage,
  command: CopyCommand | AddCommand,
  source: CopySource,
  context: DispatchContext,
): void {
  const platform = stage.platform ?? context.platforms.target;
  const dest = destination(stage.state, command.destPath, platform);
  const shared: CopyOptions = {
    mode: parseChmod(command.chmod),
    createDestPath: true,
    owner: command.chown === "" ? undefined : parseOwnership(command.chown),
    excludePatterns: command.excludePatterns,
  };
  checkChecksum(command);

  const { env } = stage.state;
  const text = stepText(command.code, context.lexer, env);
  const prefix = nextStepPrefix(stage, platform, env);
  const name = `${prefix}${text}`;

  const lowering = new CopyLowering(command, source, shared, dest, platform, name, context);
  for (const path of command.sourcePaths) lowering.addPath(path);
  for (const content of command.sourceContents) lowering.addContent(content);

  const options: VertexOptions = {
    customName: name,
    locations: locationsOf(context, command.location),
    ...(stage.noCache ? { ignoreCache: true } : {}),
  };
  if (command.link && command.chmod === "") {
    // A copy onto nothing, laid over the stage: it stays valid when the stage changes.
    const group = { id: randomBytes(16).toString("hex"), name };
    const copied = scratch().file(lowering.action, {
      ...options,
      platform,
      progressGroup: { ...group, weak: true },
    });
    const merged = merge([stage.state, copied], {
      ...options,
      customName: `${prefix}LINK ${text}`,
      progressGroup: { ...group, weak: false },
    });
    stage.state = stage.state.withOutput(merged.output);
  } else {
    stage.state = stage.state.file(lowering.action, options);
  }
  addHistory(stage, `${historyText(command)} # buildkit`, context.epoch, { layer: true });
}

function historyText(command: CopyCommand | AddCommand): string {
  const words = [command.kind === "add" ? "ADD" : "COPY"];
  if (command.kind === "copy" && command.parents) words.push("--parents");
  if (command.chown !== "") words.push(`--chown=${command.chown}`);
  if (command.chmod !== "") words.push(`--chmod=${command.chmod}`);
  words.push(...command.sourcePaths, ...command.sourceContents.map(({ path }) => `<<${path}`), command.destPath);
  return words.join(" ");
}

function checkChecksum(command: CopyCommand | AddCommand): void {
  if (command.kind === "copy" || command.checksum === "") return;
  const [path, ...others] = command.sourcePaths;
  if (path === undefined || others.length > 0) throw invalid("checksum can't be specified for multiple sources");
  if (!isWebUrl(path) && remoteGit(path) === undefined) throw invalid("checksum requires HTTP(S) or Git sources");
}

/** Paths below the working directory; a final slash means "into this directory". */
function destination(state: State, path: string, platform: Platform): string {
  const { os } = platform;
  const plain = withoutDrive(path, os, true);
  if (isAbsolute(plain, os)) return normalizePath("/", plain, os, true);
  return normalizePath(state.dir, plain === "." || plain === "" ? "./" : plain, os, true);
}

/** Gathers the sources of one instruction into one file action. */
class CopyLowering {
  action = FileAction.none;
  readonly #command: CopyCommand | AddCommand;
  readonly #source: CopySource;
  readonly #shared: CopyOptions;
  readonly #dest: string;
  readonly #platform: Platform;
  readonly #name: string;
  readonly #context: DispatchContext;

  constructor(
    command: CopyCommand | AddCommand,
    source: CopySource,
    shared: CopyOptions,
    dest: string,
    platform: Platform,
    name: string,
    context: DispatchContext,
  ) {
    this.#command = command;
    this.#source = source;
    this.#shared = shared;
    this.#dest = dest;
    this.#platform = platform;
    this.#name = name;
    this.#context = context;
  }

  addPath(path: string): void {
    const ref = remoteGit(path);
    if (ref !== undefined) this.#addGit(ref);
    else if (isWebUrl(path)) this.#addUrl(path);
    else this.#addFiles(path);
  }

  #addGit(ref: GitRef): void {
    const command = this.#command;
    if (command.kind === "copy") throw invalid("source can't be a git ref for COPY");
    const { keepGitDir = ref.keepGitDir } = command;
    if (ref.keepGitDir !== undefined && keepGitDir !== ref.keepGitDir) {
      throw invalid("inconsistent keep-git-dir configuration");
    }
    if (command.checksum !== "" && ref.checksum !== "" && command.checksum !== ref.checksum) {
      throw invalid(`checksum mismatch ${JSON.stringify(command.checksum)} != ${JSON.stringify(ref.checksum)}`);
    }
    const { mtime: _unused, ...options } = gitOptions(ref);
    const state = git(ref.remote, {
      ...options,
      customName: this.#name,
      keepGitDir: keepGitDir ?? false,
      checksum: ref.checksum || command.checksum,
    });
    this.action = this.action.copy(state, "/", this.#dest, this.#shared);
  }

  #addUrl(url: string): void {
    const command = this.#command;
    if (command.kind === "copy") throw invalid("source can't be a URL for COPY");
    const filename = urlFilename(url);
    const state = http(url, {
      filename,
      customName: this.#name,
      checksum: parseChecksum(command.checksum),
      description: { "com.docker.dockerfile.v1.command": "" },
    });
    this.action = this.action.copy(state, filename, this.#dest, {
      ...this.#shared,
      attemptUnpack: command.unpack ?? false,
    });
  }

  #addFiles(path: string): void {
    const command = this.#command;
    const { os } = this.#platform;
    const add = command.kind === "add";
    const { ignoreMatcher, state } = this.#source;
    checkCopySource(path, add ? "Add" : "Copy", ignoreMatcher, command.location, this.#context.lint);
    const parents = !add && command.parents ? splitParents(path, os) : undefined;
    this.action = this.action.copy(state, normalizePath("/", parents?.root ?? path, os, false), this.#dest, {
      ...this.#shared,
      followSymlinks: true,
      contentsOnly: true,
      attemptUnpack: add && (command.unpack ?? true),
      allowWildcard: true,
      allowEmptyWildcard: true,
      ...(parents === undefined
        ? {}
        : { includePatterns: [parents.pattern.replace(/^\//, "")], requiredPaths: parents.required }),
    });
  }

  addContent(content: SourceContent): void {
    const { os } = this.#platform;
    const path = withoutDrive(content.path, os, false);
    const state = scratch().file(FileAction.none.mkfile(path, 0o644, content.data), {
      customName: "[internal] preparing inline document",
      platform: this.#platform,
    });
    this.action = this.action.copy(state, toSlash(path, os), this.#dest, this.#shared);
  }
}

/** `--parents`: what lies before the pivot `/./` is the root, the rest a pattern which must match if it is a plain path. */
function splitParents(
  path: string,
  os: string,
): { readonly root: string; readonly pattern: string; readonly required: readonly string[] } {
  const pivot = path.indexOf("/./");
  const root = pivot < 0 ? "/" : path.slice(0, pivot);
  const pattern = normalizePath("/", pivot < 0 ? path : path.slice(pivot + 3), os, false);
  const plain = !hasWildcard(root) && !hasWildcard(pattern);
  return { root, pattern, required: plain ? [normalizePath("/", joinPath(root, pattern), os, false)] : [] };
}

function hasWildcard(text: string): boolean {
  return /[*?[]/.test(text.replace(/\\./gs, ""));
}

/** A git URL that cannot be a local path as well. @throws BuildError for one with a bad query */
export function remoteGit(path: string): GitRef | undefined {
  const ref = parseGitRef(path);
  return ref === undefined || ref.indistinguishableFromLocal ? undefined : ref;
}

export function isWebUrl(path: string): boolean {
  return /^https?:\/\//.test(path) && parseGitRef(path) === undefined;
}

/** Name under which a URL's file is stored. */
export function urlFilename(url: string): string {
  const match = /^[a-z]+:\/\/[^/?#]*([^?#]*)/.exec(url);
  let path = match?.[1] ?? "";
  try {
    path = decodeURIComponent(path);
  } catch {
    return "__unnamed__";
  }
  const base = basePath(path);
  return base === "." || base === "/" ? "__unnamed__" : base;
}

function invalid(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
