import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Snapshotter } from "../../core/seams/snapshotter.ts";
import { compatibilityVersion013 } from "../../core/values/compatibility-version.ts";
import type { OutputsResult, ResolvedSource } from "../../core/values/task.ts";
import { KeyedMutex } from "../keyed-mutex.ts";
import { readSecret } from "../session/secrets.ts";
import { openSshAgentSocket } from "../session/ssh-agent-socket.ts";
import { commitLayer, type ResolveOptions, type SourceContext, type SourceHandler } from "../source-handler.ts";
import { type SourceRequest, sourceError } from "../source-identifier.ts";
import { checkoutBundle, StagedBundle } from "./git-bundle.ts";
import { checkoutGit } from "./git-checkout.ts";
import { type CommandRunner, GitCli } from "./git-cli.ts";
import { type GitIdentifier, gitCacheKey, parseGitIdentifier } from "./git-identifier.ts";
import { GitMirrors } from "./git-mirror.ts";
import { type ResolvedRef, resolveLocally, resolveRemotely } from "./git-refs.ts";
import { type NamedObject, verifyGitSignature } from "./git-signature.ts";
import { isCommitSha, redactCredentials } from "./git-url.ts";

export interface GitSourceOptions {
  readonly snapshotter: Snapshotter;
  readonly runner: CommandRunner;
  /** Holds the bare repositories shared by all builds on this agent. */
  readonly mirrorDirectory: string;
  /** For bundles. */
  readonly blobs: BlobReader;
}

/** Reads sources that are one blob. */
export interface BlobReader {
  open(source: SourceRequest, context: SourceContext): Promise<AsyncIterable<Uint8Array>>;
}

/** `git://` sources through the git command (BuildKit source/git). One remote is used by one task at a time. */
export class GitSource implements SourceHandler {
  readonly #snapshotter: Snapshotter;
  readonly #runner: CommandRunner;
  readonly #mirrors: GitMirrors;
  readonly #remotes = new KeyedMutex();
  readonly #blobs: BlobReader;

  constructor(options: GitSourceOptions) {
    this.#blobs = options.blobs;
    this.#snapshotter = options.snapshotter;
    this.#runner = options.runner;
    this.#mirrors = new GitMirrors(options.mirrorDirectory);
  }

  /** Pin = the object the ref names. Details: `ref`, `commitChecksum` (behind an annotated tag), `defaultBranch`. */
  async resolve(source: SourceRequest, context: SourceContext, options: ResolveOptions = {}): Promise<ResolvedSource> {
    const id = pinned(parseGitIdentifier(source));
    const found = options.known === undefined ? await this.#resolve(id, context) : recall(options.known);
    const resolved = describe(id, found);
    if (options.gitObjects !== true && id.signature === undefined) return resolved;
    const { commit, tag } = await this.#objects(id, found, context);
    if (id.signature !== undefined) await verifyGitSignature(commit, tag, id.signature, Date.now());
    if (options.gitObjects !== true) return resolved;
    return { ...resolved, details: { ...resolved.details, ...objectDetails(commit, tag) } };
  }

  async fetch(
    source: SourceRequest,
    given: ResolvedSource | undefined,
    context: SourceContext,
  ): Promise<OutputsResult> {
    const id = pinned(parseGitIdentifier(source));
    const wanted = given === undefined ? await this.#resolve(id, context) : recall(given);
    const record = {
      description: `git snapshot for ${redactCredentials(id.remote)}#${id.ref || wanted.defaultBranch}`,
      recordType: "source.git.checkout",
    };
    using _remote = await this.#remotes.lock(id.remote, context.signal);
    await using login = await this.#login(id, context);
    const gitDir = await this.#mirror(id, wanted, login.git, context);
    return await commitLayer(this.#snapshotter, context, record, (directory) => {
      const job = { id, wanted, git: login.git, gitDir, directory };
      if (id.checkoutBundle) return checkoutBundle(job);
      return checkoutGit({ ...job, openFileModes: source.compatibilityVersion === compatibilityVersion013 });
    });
  }

  /** The raw objects behind a ref; these need a fetch. */
  async #objects(
    id: GitIdentifier,
    wanted: ResolvedRef,
    context: SourceContext,
  ): Promise<{ readonly commit: NamedObject; readonly tag?: NamedObject }> {
    using _remote = await this.#remotes.lock(id.remote, context.signal);
    await using login = await this.#login(id, context);
    const git = login.git.with({ gitDir: await this.#mirror(id, wanted, login.git, context) });
    const read = async (type: string, name: string) => ({ name, raw: await git.run("cat-file", type, name) });
    const type = await git.text("cat-file", "-t", wanted.sha);
    if (type === "commit") return { commit: await read("commit", wanted.sha) };
    if (type !== "tag") throw sourceError(`expected commit or tag object, got ${type}`);
    const commit = await git.text("rev-parse", `${wanted.sha}^{commit}`);
    return { tag: await read("tag", wanted.sha), commit: await read("commit", commit) };
  }

  async #resolve(id: GitIdentifier, context: SourceContext): Promise<ResolvedRef> {
    const local = resolveLocally(id);
    if (local !== undefined) return local;
    await using login = await this.#login(id, context);
    await using bundle = this.#staged(id, login.git, context);
    return await resolveRemotely(id, login.git, await bundle?.url());
  }

  /** @returns git directory of the repository that has what is wanted */
  async #mirror(id: GitIdentifier, wanted: ResolvedRef, git: GitCli, context: SourceContext): Promise<string> {
    await using bundle = this.#staged(id, git, context);
    return await this.#mirrors.fetch(id, wanted, git, async () => (await bundle?.url()) ?? "origin");
  }

  #staged({ bundle, checksum }: GitIdentifier, git: GitCli, context: SourceContext): StagedBundle | undefined {
    if (bundle === undefined) return undefined;
    return new StagedBundle(bundle, checksum, git, () => this.#blobs.open(bundle.blob, context));
  }

  /** A git command with the client's credentials at hand, for as long as it is not disposed. */
  async #login(id: GitIdentifier, context: SourceContext): Promise<AsyncDisposable & { readonly git: GitCli }> {
    const { signal, progress, sessions } = context;
    const stack = new AsyncDisposableStack();
    try {
      const header = await authorizationHeader(id, context);
      const config = header === undefined ? [] : [{ key: `http.${tokenScope(id.remote)}.extraheader`, value: header }];
      const socket = id.sshId === "" ? undefined : stack.use(await openSshAgentSocket(sessions, id.sshId, signal));
      const knownHostsFile = id.knownHosts === "" ? undefined : await writeKnownHosts(id.knownHosts, stack);
      const git = new GitCli({
        runner: this.#runner,
        signal,
        progress,
        config,
        ...(socket === undefined ? {} : { sshAuthSocket: socket.path }),
        ...(knownHostsFile === undefined ? {} : { knownHostsFile }),
      });
      return { git, [Symbol.asyncDispose]: () => stack.disposeAsync() };
    } catch (error) {
      await stack.disposeAsync();
      throw error;
    }
  }
}

/** Of a bundle no default branch is known, but the commit. */
function pinned(id: GitIdentifier): GitIdentifier {
  return id.bundle !== undefined && id.ref === "" ? { ...id, ref: id.checksum } : id;
}

function describe(id: GitIdentifier, found: ResolvedRef): ResolvedSource {
  const { ref, sha, commit, defaultBranch } = found;
  const keySha = isCommitSha(ref) ? ref : commit || sha;
  return { cacheKey: gitCacheKey(id, keySha, ref), pin: sha, details: { ref, commitChecksum: commit, defaultBranch } };
}

function objectDetails(commit: NamedObject, tag: NamedObject | undefined): Readonly<Record<string, string>> {
  const encode = ({ raw }: NamedObject) => Buffer.from(raw).toString("base64");
  if (tag === undefined) return { commitObject: encode(commit), commitChecksum: "" };
  return { tagObject: encode(tag), commitObject: encode(commit), commitChecksum: commit.name };
}

function recall(resolved: ResolvedSource): ResolvedRef {
  const { ref = "", commitChecksum = "", defaultBranch = "" } = resolved.details;
  return { ref, sha: resolved.pin, commit: commitChecksum, defaultBranch };
}

/** One token serves all of github.com, so that private submodules work; elsewhere it is for the remote alone. */
function tokenScope(remote: string): string {
  return /^https:\/\/(?:www\.)?github\.com\//.exec(remote)?.[0] ?? remote;
}

/** From the client's secrets: `<name>.<host>` before `<name>`, header before token (map c13). */
async function authorizationHeader(id: GitIdentifier, context: SourceContext): Promise<string | undefined> {
  const host = URL.canParse(id.remote) ? new URL(id.remote).host : "";
  const names = [
    { name: `${id.authHeaderSecret}.${host}`, base: id.authHeaderSecret, isToken: false },
    { name: `${id.authTokenSecret}.${host}`, base: id.authTokenSecret, isToken: true },
    { name: id.authHeaderSecret, base: id.authHeaderSecret, isToken: false },
    { name: id.authTokenSecret, base: id.authTokenSecret, isToken: true },
  ].filter(({ base }) => base !== "");
  if (names.length === 0 || context.sessions.ids.length === 0) return undefined;
  const absent = sourceError("no git credentials");
  try {
    return await context.sessions.any(
      async (caller) => {
        for (const { name, isToken } of names) {
          const secret = await readSecret(caller, name, context.signal);
          if (secret === undefined) continue;
          const value = Buffer.from(secret).toString("utf8");
          const basic = `basic ${Buffer.from(`x-access-token:${value}`).toString("base64")}`;
          return `Authorization: ${isToken ? basic : value}`;
        }
        throw absent;
      },
      { signal: context.signal },
    );
  } catch (error) {
    if (error === absent) return undefined;
    throw error;
  }
}

async function writeKnownHosts(text: string, stack: AsyncDisposableStack): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "known-hosts-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const file = join(directory, "known_hosts");
  await writeFile(file, text, { mode: 0o600 });
  return file;
}
