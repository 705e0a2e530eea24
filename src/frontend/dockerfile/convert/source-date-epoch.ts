import { promisify } from "node:util";
import { gunzip, type ZlibOptions, type ZstdOptions, zstdDecompress } from "node:zlib";
import type { SourceOp } from "../../../api/gen/ops.ts";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { type EnvList, git, http, marshalState, SourceVertex, type State } from "../../../llb/builder/index.ts";
import { type BuildContext, findNamedContext, gitOptions } from "../context/index.ts";
import { withLocation } from "../dockerfile-error.ts";
import type { AddCommand, Stage } from "../instructions/index.ts";
import type { WordLexer } from "../shell/index.ts";
import { parseChecksum } from "./checksum.ts";
import { isWebUrl, remoteGit, urlFilename } from "./dispatch-copy.ts";

const gunzipAsync = promisify<Uint8Array, ZlibOptions, Uint8Array>(gunzip);
const unzstdAsync = promisify<Uint8Array, ZstdOptions, Uint8Array>(zstdDecompress);
/** A larger archive has no time for us: all of it is held in memory. */
const maxArchiveBytes = 512 * 1024 * 1024;

export const epochArg = "SOURCE_DATE_EPOCH";

export interface EpochOptions {
  readonly context: BuildContext;
  readonly stages: readonly Stage[];
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly globalArgs: EnvList;
  readonly lexer: WordLexer;
}

/**
 * Unix seconds of SOURCE_DATE_EPOCH: a number, `context`, a named context, or a stage whose only file is one remote ADD
 * (map e2, e28; BuildKit frontend/dockerfile/dockerfile2llb/epoch.go). Undefined when the source has no time.
 */
export async function resolveEpoch(
  value: string,
  options: EpochOptions,
  signal: AbortSignal,
): Promise<number | undefined> {
  if (value === "") return undefined;
  if (/^[+-]?\d+$/.test(value)) return Number(value);
  const { source, logName } = await findSource(value, options, signal);
  return source === undefined ? undefined : sourceTime(source, logName, options.context, signal);
}

interface EpochSource {
  readonly source: SourceOp | undefined;
  readonly logName: string;
}

async function findSource(value: string, options: EpochOptions, signal: AbortSignal): Promise<EpochSource> {
  const { context, stages } = options;
  if (value === "context") {
    return {
      // A local directory has no time; BuildKit asks for it all the same and so shows that it did.
      source: (await context.remoteSource(signal)) ?? { identifier: "local://context", attrs: {} },
      logName: "[internal] resolve main build context metadata",
    };
  }
  const named = findNamedContext(context, value, {});
  if (named !== undefined) {
    const { state } = await named.load(signal);
    return { source: sourceOf(state), logName: `[internal] resolve ${epochArg} named context ${value}` };
  }
  const stage = stages.find(({ name }) => name.toLowerCase() === value.toLowerCase());
  if (stage === undefined) throw invalid(`invalid ${epochArg}: ${value}`);
  try {
    return {
      source: sourceOf(stageSource(stage, options)),
      logName: `[internal] resolve ${epochArg} source stage ${stage.name}`,
    };
  } catch (error) {
    throw withLocation(error, stage.location);
  }
}

function sourceOf(state: State): SourceOp | undefined {
  const vertex = state.output?.vertex();
  if (!(vertex instanceof SourceVertex)) return undefined;
  return { identifier: vertex.identifier, attrs: { ...vertex.attrs } };
}

function stageSource(stage: Stage, { lexer, globalArgs, buildArgs }: EpochOptions): State {
  let env = globalArgs.delete(epochArg);
  let baseName: string;
  try {
    baseName = lexer.processWord(stage.baseName, env).result;
  } catch (error) {
    throw BuildError.from(error).wrap(`failed to process source stage base name ${JSON.stringify(stage.baseName)}`);
  }
  if (baseName !== "scratch") throw invalid(`${epochArg} stage must use FROM scratch`);
  let source: State | undefined;
  for (const command of stage.commands) {
    if (command.kind === "arg") {
      for (const { key, value } of command.args) {
        const given = buildArgs.get(key) ?? (value === undefined ? undefined : lexer.processWord(value, env).result);
        if (given !== undefined) env = env.set(key, given);
      }
    } else if (command.kind === "add") {
      if (source !== undefined) throw invalid(`${epochArg} stage must contain exactly one remote ADD`);
      source = addSource(command, env, lexer);
    } else {
      throw invalid(
        `${epochArg} stage does not meet source-only requirements: unsupported ${command.name} instruction`,
      );
    }
  }
  if (source === undefined) throw invalid(`${epochArg} stage must contain exactly one remote ADD`);
  return source;
}

function addSource(command: AddCommand, env: EnvList, lexer: WordLexer): State {
  const [path, ...others] = command.sourcePaths;
  if (path === undefined || others.length > 0 || command.sourceContents.length > 0) {
    throw invalid(`${epochArg} stage must contain exactly one remote ADD source`);
  }
  const url = lexer.processWord(path, env).result;
  const checksum = command.checksum === "" ? "" : lexer.processWord(command.checksum, env).result;
  if (isWebUrl(url)) {
    return http(url, {
      filename: urlFilename(url),
      checksum: parseChecksum(checksum),
    });
  }
  const ref = remoteGit(url);
  if (ref === undefined) throw invalid(`${epochArg} stage source must be a single HTTP(S) or Git ADD`);
  return git(ref.remote, {
    ...gitOptions({ ...ref, fetchByCommit: false }),
    keepGitDir: (command.keepGitDir ?? false) || (ref.keepGitDir ?? false),
    checksum: checksum || ref.checksum,
  });
}

/** Time of the commit, of the HTTP answer, or of the newest file in a downloaded archive. */
async function sourceTime(
  source: SourceOp,
  logName: string,
  context: BuildContext,
  signal: AbortSignal,
): Promise<number | undefined> {
  const isGit = source.identifier.startsWith("git://");
  const meta = await context.resolveSourceMeta(
    { source, logName, ...(isGit ? { git: { returnObject: true } } : {}) },
    signal,
  );
  if (meta.git?.commitObject !== undefined) return committerTime(meta.git.commitObject);
  if (meta.http?.lastModified !== undefined) return Math.floor(meta.http.lastModified / 1000);
  const filename = source.attrs["http.filename"];
  if (filename === undefined || !/^https?:\/\//.test(source.identifier)) return undefined;
  const state = http(source.identifier, {
    filename,
    checksum: source.attrs["http.checksum"],
  });
  const ref = await context.solveRef(marshalState(state), undefined, signal);
  return newestFileTime(await ref.readFile(filename, undefined, signal));
}

/** `committer Name <mail> 1700000000 +0100` */
function committerTime(commit: Uint8Array): number | undefined {
  const time = /^committer .*> (\d+) [+-]\d{4}$/m.exec(new TextDecoder().decode(commit))?.[1];
  return time === undefined ? undefined : Number(time);
}

/** The bytes of a gzip or zstd file; others as they are. Undefined when broken or too large. */
async function decompressed(data: Uint8Array): Promise<Uint8Array | undefined> {
  try {
    const magic = Buffer.from(data.subarray(0, 4)).toString("hex");
    if (magic.startsWith("1f8b")) return await gunzipAsync(data, { maxOutputLength: maxArchiveBytes });
    if (magic === "28b52ffd") return await unzstdAsync(data, { maxOutputLength: maxArchiveBytes });
    return data;
  } catch {
    return undefined;
  }
}

/** Modification time of the newest regular file of a tar; undefined for anything else. */
async function newestFileTime(data: Uint8Array): Promise<number | undefined> {
  const tar = await decompressed(data);
  if (tar === undefined) return undefined;
  let newest: number | undefined;
  for (let at = 0; at + 512 <= tar.length; ) {
    const header = tar.subarray(at, at + 512);
    if (header.every((byte) => byte === 0)) break;
    const size = octal(header.subarray(124, 136));
    const time = octal(header.subarray(136, 148));
    if (size === undefined || time === undefined) return undefined;
    const regular = header[156] === 0x30 || header[156] === 0;
    if (regular && (newest === undefined || time > newest)) newest = time;
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return newest;
}

function octal(field: Uint8Array): number | undefined {
  const text = new TextDecoder()
    .decode(field)
    .replace(/[\0 ]+$/, "")
    .trim();
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : undefined;
}

function invalid(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
