import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { sourceError } from "../source-identifier.ts";
import type { GitBundle } from "./git-bundle-locator.ts";
import type { GitCli } from "./git-cli.ts";
import type { GitIdentifier } from "./git-identifier.ts";
import { type ResolvedRef, within } from "./git-refs.ts";
import { isCommitSha } from "./git-url.ts";

/** Name of the file that a checkout as a bundle consists of. */
const fileName = "bundle";

/** A bundle as a repository that can be asked in place of the remote; made when first needed (BuildKit source/git/bundle.go). */
export class StagedBundle implements AsyncDisposable {
  readonly #bundle: GitBundle;
  readonly #checksum: string;
  readonly #git: GitCli;
  readonly #open: () => Promise<AsyncIterable<Uint8Array>>;
  #directory: string | undefined;

  /**
   * @param checksum the commit it must hold
   * @param open reads the blob
   */
  constructor(bundle: GitBundle, checksum: string, git: GitCli, open: () => Promise<AsyncIterable<Uint8Array>>) {
    this.#bundle = bundle;
    this.#checksum = checksum;
    this.#git = git;
    this.#open = open;
  }

  /** @throws BuildError when the blob cannot be had, is no bundle or has not the commit */
  async url(): Promise<string> {
    this.#directory ??= await this.#stage();
    return `file://${join(this.#directory, "repo.git")}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#directory !== undefined) await rm(this.#directory, { recursive: true, force: true });
  }

  async #stage(): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), "git-bundle-"));
    try {
      await this.#import(directory);
      return directory;
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  async #import(directory: string): Promise<void> {
    const { reference } = this.#bundle;
    const file = join(directory, "bundle.pack");
    await this.#download(file);
    const isSha256 = await namesAreSha256(file, this.#git);
    const repository = await initBare(join(directory, "repo.git"), isSha256, this.#git);
    await repository.run("fetch", file, "+refs/*:refs/*").catch((error: unknown) => {
      throw within(`failed to import git bundle ${reference} into temp`, error);
    });
    if (!(await repository.succeeds("cat-file", "-e", `${this.#checksum}^{commit}`))) {
      throw sourceError(`commit ${this.#checksum} not found in bundle ${reference}`);
    }
  }

  async #download(file: string): Promise<void> {
    const { reference, sha256 } = this.#bundle;
    const hash = createHash("sha256");
    try {
      const content = await this.#open();
      await pipeline(
        content,
        async function* (chunks: AsyncIterable<Uint8Array>) {
          for await (const chunk of chunks) {
            hash.update(chunk);
            yield chunk;
          }
        },
        createWriteStream(file),
      );
    } catch (error) {
      throw within(`failed to fetch git bundle ${reference}`, error);
    }
    const got = hash.digest("hex");
    if (got !== sha256) throw sourceError(`expected checksum to match sha256:${sha256}, got sha256:${got}`);
  }
}

async function namesAreSha256(bundle: string, git: GitCli): Promise<boolean> {
  const refs = await git.text("ls-remote", "--", bundle).catch((error: unknown) => {
    throw within("failed to inspect git bundle", error);
  });
  const [name = ""] = refs.split("\t", 1);
  if (!isCommitSha(name)) throw sourceError("failed to inspect git bundle: no refs found");
  return name.length === 64;
}

async function initBare(path: string, isSha256: boolean, git: GitCli): Promise<GitCli> {
  await mkdir(path, { mode: 0o700 });
  const repository = git.with({ gitDir: path });
  const format = isSha256 ? ["--object-format=sha256"] : [];
  await repository.run("-c", "init.defaultBranch=master", "init", "--bare", ...format);
  return repository;
}

/**
 * Writes the wanted commit, with its history and without submodules, as a bundle into an empty directory.
 * @param job.gitDir the mirror which has the commit
 */
export async function checkoutBundle(job: {
  readonly id: GitIdentifier;
  readonly wanted: ResolvedRef;
  readonly git: GitCli;
  readonly gitDir: string;
  readonly directory: string;
}): Promise<void> {
  const { id, wanted, gitDir } = job;
  const directory = await mkdtemp(join(tmpdir(), "git-bundle-create-"));
  try {
    const git = await initBare(join(directory, "repo.git"), wanted.sha.length === 64, job.git);
    const ref = bundleRef(id.ref);
    const mirror = job.git.with({ gitDir });
    // A branch cannot point to a tag's own object.
    const object = ref.startsWith("refs/tags/") ? wanted.sha : await mirror.text("rev-parse", `${wanted.sha}^{commit}`);
    await git.run("fetch", `file://${gitDir}`, "--", object).catch((error: unknown) => {
      throw within(`failed to fetch commit ${object} from shared repo for bundle creation`, error);
    });
    await git.run("update-ref", ref, object);
    const file = join(directory, "out.bundle");
    await git.run("bundle", "create", file, ref).catch((error: unknown) => {
      throw within(`failed to create git bundle for ${object}`, error);
    });
    await copyFile(file, join(job.directory, fileName));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What the commit is called inside: by a commit's name nothing could be fetched from a bundle. */
function bundleRef(ref: string): string {
  if (ref === "" || isCommitSha(ref)) return "refs/heads/main";
  if (ref.startsWith("refs/tags/")) return ref;
  return `refs/heads/${ref.replace(/^refs\//, "").replace(/^heads\//, "")}`;
}
