import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { GetSecretRequest, GetSecretResponse } from "../../../src/api/gen/secrets.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import type { SessionGroup } from "../../../src/core/seams/session-caller.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import type { CommandRunner } from "../../../src/source/index.ts";
import { GitSource } from "../../../src/source/index.ts";
import { FakeSession, FakeSessionGroup } from "../../helpers/fake-session.ts";
import { type GitServer, startGitServer } from "./git-server.ts";
import { openSourceSandbox, type SourceSandbox } from "./source-sandbox.ts";

function secretSession(secrets: Record<string, string>): SessionGroup {
  return new FakeSessionGroup(
    new FakeSession("s1", {
      "/moby.buildkit.secrets.v1.Secrets/GetSecret": async function* (requests) {
        for await (const request of requests) {
          const value = secrets[GetSecretRequest.decode(request).ID];
          if (value === undefined) throw new BuildError(Code.NotFound, "not found");
          yield GetSecretResponse.encode({ data: Buffer.from(value) }).finish();
        }
      },
    }),
  );
}

const hasSshKeygen = spawnSync("ssh-keygen", ["-?"]).error === undefined;

describe("GitSource", () => {
  let server: GitServer;
  let box: SourceSandbox;

  beforeEach(async () => {
    server = await startGitServer();
    box = await openSourceSandbox();
  });
  afterEach(async () => {
    await box[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  function commit(repository: string, files: Record<string, string>): string {
    server.git(repository, "status");
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(server.root, repository, name)), { recursive: true });
      writeFileSync(join(server.root, repository, name), text);
    }
    server.git(repository, "add", "-A");
    server.git(repository, "commit", "-q", "--allow-empty", "-m", "m");
    return server.git(repository, "rev-parse", "HEAD");
  }

  function source(repository: string, fragment = "", attrs: Record<string, string> = {}) {
    return { identifier: `git://x/y${fragment}`, attrs: { "git.fullurl": server.url(repository), ...attrs } };
  }

  async function fetchTree(request: ReturnType<typeof source>, sessions?: SessionGroup, from = box.git) {
    const context = box.context(sessions);
    const resolved = await from.resolve(request, context);
    const { outputs, layers } = await from.fetch(request, resolved, context);
    const id = outputs[0]?.layers[0];
    assert.ok(id !== undefined);
    return { resolved, layer: layers[0], path: box.snapshotter.layerPath(id) };
  }

  it("fetches the default branch, one commit deep, into a layer", async () => {
    commit("main.git", { old: "1" });
    const sha = commit("main.git", { "dir/file": "two" });
    const { resolved, layer, path } = await fetchTree(source("main.git"));
    assert.deepEqual(resolved, {
      cacheKey: sha,
      pin: sha,
      details: { ref: "refs/heads/main", commitChecksum: "", defaultBranch: "main" },
    });
    assert.equal(layer?.recordType, "source.git.checkout");
    assert.equal(layer?.description, `git snapshot for ${server.url("main.git")}#main`);
    assert.deepEqual(readdirSync(path).sort(), ["dir", "old"]);
    const [mirror = ""] = readdirSync(join(box.root, "git"));
    const count = execFileSync("git", ["-C", join(box.root, "git", mirror), "rev-list", "--count", sha]).toString();
    assert.equal(count.trim(), "1");
  });

  it("prefers a branch to a tag of the same name, and peels annotated tags", async () => {
    const first = commit("main.git", { f: "1" });
    server.git("main.git", "tag", "-a", "-m", "t", "v1");
    server.git("main.git", "tag", "both");
    const tagObject = server.git("main.git", "rev-parse", "v1");
    const second = commit("main.git", { f: "2" });
    server.git("main.git", "branch", "both");
    const resolve = async (fragment: string, attrs = {}) =>
      box.git.resolve(source("main.git", fragment, attrs), box.context());
    assert.equal((await resolve("#both")).cacheKey, second);
    assert.equal((await resolve("#v1")).cacheKey, first);
    assert.equal((await resolve("#refs/tags/v1")).cacheKey, first);
    assert.equal((await resolve("#v1")).pin, tagObject);
    const kept = await resolve("#v1", { "git.keepgitdir": "true" });
    assert.equal(kept.cacheKey, `${tagObject}.git#refs/tags/v1`);
    const { details } = await box.git.resolve(source("main.git", "#v1"), box.context(), { gitObjects: true });
    assert.equal(details["commitChecksum"], first);
    assert.match(Buffer.from(details["tagObject"] ?? "", "base64").toString(), /^object /);
    assert.match(Buffer.from(details["commitObject"] ?? "", "base64").toString(), /^tree /);
  });

  it("gives the commit it resolved to even when the branch has moved on", async () => {
    commit("main.git", { f: "1" });
    const request = source("main.git", "#main");
    const resolved = await box.git.resolve(request, box.context());
    commit("main.git", { f: "2" });
    const { outputs } = await box.git.fetch(request, resolved, box.context());
    const path = box.snapshotter.layerPath(outputs[0]?.layers[0] ?? assert.fail());
    assert.equal(readFileSync(join(path, "f"), "utf8"), "1");
  });

  it("takes what is known for what the remote would say", async () => {
    commit("main.git", { f: "1" });
    const request = source("main.git");
    const known = await box.git.resolve(request, box.context());
    commit("main.git", { f: "2" });
    assert.deepEqual(await box.git.resolve(request, box.context(), { known }), known);
    assert.notEqual((await box.git.resolve(request, box.context())).pin, known.pin);
  });

  it("follows a tag that was replaced and a branch that became a directory", async () => {
    commit("main.git", { f: "1" });
    server.git("main.git", "tag", "v1");
    server.git("main.git", "branch", "feature");
    await fetchTree(source("main.git", "#refs/tags/v1"));
    await fetchTree(source("main.git", "#feature"));
    commit("main.git", { f: "2" });
    server.git("main.git", "tag", "-f", "v1");
    server.git("main.git", "branch", "-D", "feature");
    server.git("main.git", "branch", "feature/x");
    const tag = await fetchTree(source("main.git", "#refs/tags/v1"));
    assert.equal(readFileSync(join(tag.path, "f"), "utf8"), "2");
    const branch = await fetchTree(source("main.git", "#feature/x"));
    assert.equal(readFileSync(join(branch.path, "f"), "utf8"), "2");
  });

  it("takes a sub-directory, but not through a link", async () => {
    commit("main.git", { "a/b/c": "x", "a/other": "y" });
    symlinkSync("a", join(server.root, "main.git", "link"));
    commit("main.git", {});
    const { path, resolved } = await fetchTree(source("main.git", "#main:a/b"));
    assert.deepEqual(readdirSync(path), ["c"]);
    assert.match(resolved.cacheKey, /:a\/b$/);
    await assert.rejects(fetchTree(source("main.git", "#main:link/b")), {
      message: 'invalid subdir link/b: git subpath "link/b" contains non-directory "link"',
    });
    await assert.rejects(fetchTree(source("main.git", "#main:none")), /invalid subdir none: failed to lstat "none"/);
  });

  it("keeps a .git directory that knows nothing of the mirror", async () => {
    const sha = commit("main.git", { f: "1" });
    const { path } = await fetchTree(source("main.git", "#main", { "git.keepgitdir": "true" }));
    const git = (...args: string[]) =>
      execFileSync("git", ["-c", "safe.directory=*", ...args], { cwd: path })
        .toString()
        .trim();
    assert.equal(git("rev-parse", "HEAD"), sha);
    assert.equal(git("status", "--porcelain"), "");
    assert.equal(git("remote", "get-url", "origin"), server.url("main.git"));
    assert.ok(!readdirSync(join(path, ".git")).includes("FETCH_HEAD"));
  });

  it("sets every time to the commit's when asked to", async () => {
    commit("main.git", { "d/f": "1" });
    const { path } = await fetchTree(source("main.git", "#main", { "git.mtime": "commit" }));
    for (const name of [".", "d", "d/f"]) {
      assert.equal(statSync(join(path, name)).mtime.toISOString(), "2020-01-02T03:04:05.000Z", name);
    }
  });

  it("lets all write to files that are not executable, for builds that want the behaviour of BuildKit 0.13", async () => {
    commit("main.git", { "d/f": "1", x: "#!/bin/sh\n" });
    server.git("main.git", "update-index", "--chmod=+x", "x");
    server.git("main.git", "commit", "-q", "-m", "executable");
    const modes = async (more: object) => {
      const { path } = await fetchTree({ ...source("main.git", "#main"), ...more });
      return ["d", "d/f", "x"].map((name) => (statSync(join(path, name)).mode & 0o777).toString(8));
    };
    assert.deepEqual(await modes({}), ["755", "644", "755"]);
    assert.deepEqual(await modes({ compatibilityVersion: 10 }), ["755", "666", "755"]);
  });

  it("works with sha256 repositories", async () => {
    const sha = commit("sha256.git", { f: "1" });
    assert.equal(sha.length, 64);
    for (const attrs of [{}, { "git.keepgitdir": "true" }]) {
      const { path } = await fetchTree(source("sha256.git", "#main", attrs));
      assert.equal(readFileSync(join(path, "f"), "utf8"), "1");
    }
    const byCommit = await fetchTree(source("sha256.git", `#${sha}`));
    assert.equal(readFileSync(join(byCommit.path, "f"), "utf8"), "1");
  });

  it("serves equal tasks one after the other from one mirror", async () => {
    commit("main.git", { f: "1" });
    const trees = await Promise.all(Array.from({ length: 4 }, () => fetchTree(source("main.git", "#main"))));
    assert.deepEqual(
      trees.map(({ path }) => readFileSync(join(path, "f"), "utf8")),
      ["1", "1", "1", "1"],
    );
    assert.equal(readdirSync(join(box.root, "git")).length, 1);
  });

  it("sends a token to the remote and its submodules, and shows it to nobody else", async () => {
    commit("main.git/sub.git", { inner: "s" });
    server.git("main.git", "status");
    server.git("main.git", "-c", "protocol.file.allow=always", "submodule", "add", "-q", "./sub.git", "sub");
    server.git("main.git", "config", "-f", ".gitmodules", "submodule.sub.url", server.url("main.git/sub.git"));
    writeFileSync(join(server.root, "main.git", ".git", "info", "exclude"), "sub.git\n");
    commit("main.git", { f: "1" });
    const secret = "t0p-s3cret";
    const basic = `basic ${Buffer.from(`x-access-token:${secret}`).toString("base64")}`;
    server.requiredAuthorization = basic;
    const commands: string[] = [];
    const runner: CommandRunner = {
      run: (argv, options) => {
        commands.push(argv.join(" "));
        return box.spawner.run(argv, options);
      },
    };
    const git = new GitSource({
      ...{ snapshotter: box.snapshotter, runner, mirrorDirectory: join(box.root, "git") },
      blobs: box.blob,
    });
    const request = source("main.git", "#main", { "git.authtokensecret": "GIT_AUTH_TOKEN" });
    const host = new URL(server.url("")).host;
    const { path } = await fetchTree(request, secretSession({ [`GIT_AUTH_TOKEN.${host}`]: secret }), git);
    assert.equal(readFileSync(join(path, "sub", "inner"), "utf8"), "s");
    const hidden = [secret, basic.slice(6)];
    const shown = [...commands, ...box.logs].join("\n");
    assert.ok(hidden.every((text) => !shown.includes(text)));
    const search = spawnSync("grep", ["-rlE", hidden.join("|"), box.root], { encoding: "utf8" });
    assert.deepEqual([search.status, search.stdout], [1, ""]);
  });

  it("fails with git's own words", async () => {
    commit("main.git", { f: "1" });
    await assert.rejects(box.git.resolve(source("none.git"), box.context()), {
      message: `error fetching default branch for repository ${server.url("none.git")}: git stderr:\nfatal: repository '${server.url("none.git")}/' not found\n: exit status 128`,
    });
    await assert.rejects(box.git.resolve(source("main.git", "#nope"), box.context()), {
      message: 'repository does not contain ref nope, output: ""',
    });
    await assert.rejects(box.git.resolve(source("main.git", "#--upload-pack=x"), box.context()), {
      message: 'invalid git ref "--upload-pack=x"',
    });
    await assert.rejects(box.git.resolve(source("main.git", "#main", { "git.checksum": "zz" }), box.context()), {
      message: "invalid checksum zz for Git URL, expected hex commit hash",
    });
  });

  it("takes signed commits and tags only, if told to", { skip: !hasSshKeygen && "needs ssh-keygen" }, async () => {
    const newKey = (name: string) => {
      const path = join(server.root, name);
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path]);
      return { path, publicKey: readFileSync(`${path}.pub`, "utf8") };
    };
    const [author, tagger] = [newKey("author"), newKey("tagger")];
    const signed = (key: string) => ["-c", "gpg.format=ssh", "-c", `user.signingkey=${key}`];
    commit("main.git", { f: "unsigned" });
    server.git("main.git", "tag", "-a", "-m", "m", "unsigned");
    server.git("main.git", ...signed(author.path), "commit", "-q", "--allow-empty", "-S", "-m", "signed");
    server.git("main.git", ...signed(tagger.path), "tag", "-s", "-m", "m", "signed");
    const resolve = (ref: string, publicKey: string, attrs: Record<string, string> = {}) =>
      box.git.resolve(source("main.git", `#${ref}`, { "git.sig.pubkey": publicKey, ...attrs }), box.context());

    await resolve("main", author.publicKey);
    await resolve("signed", tagger.publicKey, { "git.sig.requiresignedtag": "true" });
    await resolve("signed", author.publicKey);
    for (const [ref, key, attrs, message] of [
      ["unsigned", author, {}, /git object is not signed/],
      ["main", tagger, {}, /public key does not match/],
      ["signed", author, { "git.sig.requiresignedtag": "true" }, /public key does not match/],
      ["signed", tagger, { "git.sig.ignoresignedtag": "true" }, /public key does not match/],
      ["main", author, { "git.sig.requiresignedtag": "true" }, /signed tag required but no signed tag found/],
    ] as const) {
      await assert.rejects(resolve(ref, key.publicKey, attrs), message);
    }
    // What was found out for another step is no excuse.
    const known = await box.git.resolve(source("main.git", "#unsigned"), box.context());
    const request = source("main.git", "#unsigned", { "git.sig.pubkey": author.publicKey });
    await assert.rejects(box.git.resolve(request, box.context(), { known }), /git object is not signed/);
  });

  describe("bundles", () => {
    /** The file that a checkout as a bundle is. */
    async function bundleOf(request: ReturnType<typeof source>, from = box.git): Promise<Buffer> {
      const attrs = { ...request.attrs, "git.checkoutbundle": "true" };
      const { path, resolved } = await fetchTree({ ...request, attrs }, undefined, from);
      assert.match(resolved.cacheKey, /\(bundle\)$/);
      assert.deepEqual(readdirSync(path), ["bundle"]);
      return readFileSync(join(path, "bundle"));
    }

    /** Attributes to read a bundle, and sources that have its blob. */
    function reading(bytes: Buffer, checksum: string) {
      const blob = { opened: [] as string[] };
      const git = new GitSource({
        ...{ snapshotter: box.snapshotter, runner: box.spawner, mirrorDirectory: join(box.root, "other") },
        blobs: {
          open: async ({ identifier }) => {
            blob.opened.push(identifier);
            return (async function* () {
              yield bytes;
            })();
          },
        },
      });
      const locator = `docker-image+blob://host/bundles@${sha256(bytes)}`;
      return { git, blob, locator, attrs: { "git.bundle": locator, "git.checksum": checksum } };
    }

    it("hold a commit with its history, and are read in place of the remote", async () => {
      commit("main.git", { f: "1" });
      const head = commit("main.git", { f: "2" });
      // Brings one commit only.
      await fetchTree(source("main.git", "#main"));
      const bytes = await bundleOf(source("main.git", "#main"));
      commit("main.git", { f: "3" });
      // The remote is not asked.
      server.requiredAuthorization = "nobody";
      for (const fragment of ["#main", "", `#${head}`]) {
        const { git, blob, locator, attrs } = reading(bytes, head);
        const { path, resolved } = await fetchTree(source("main.git", fragment, attrs), undefined, git);
        assert.equal(resolved.pin, head);
        assert.equal(readFileSync(join(path, "f"), "utf8"), "2");
        assert.ok(blob.opened.every((identifier) => identifier === locator));
      }
      const { git, attrs } = reading(bytes, head);
      const again = await bundleOf(source("main.git", "#main", attrs), git);
      const kept = await fetchTree(source("main.git", "#main", { ...attrs, "git.keepgitdir": "true" }), undefined, git);
      assert.ok(existsSync(join(kept.path, ".git", "refs", "heads", "main")));
      const file = join(box.root, "again.bundle");
      writeFileSync(file, again);
      assert.match(server.git("main.git", "bundle", "verify", file), /records a complete history/);
      assert.match(server.git("main.git", "bundle", "list-heads", file), new RegExp(`^${head} refs/heads/main$`, "m"));
    });

    it("hold tags", async () => {
      const head = commit("main.git", { f: "1" });
      server.git("main.git", "tag", "-a", "-m", "m", "v1");
      for (const [fragment, name] of [
        ["#refs/tags/v1", "refs/tags/v1"],
        ["#v1", "refs/heads/v1"],
        [`#${head}`, "refs/heads/main"],
      ] as const) {
        const file = join(box.root, "tags.bundle");
        writeFileSync(file, await bundleOf(source("main.git", fragment)));
        assert.match(server.git("main.git", "bundle", "list-heads", file), new RegExp(` ${name}$`, "m"));
      }
    });

    it("must be what they are said to be", async () => {
      const head = commit("main.git", { f: "1" });
      const bytes = await bundleOf(source("main.git", "#main"));
      const other = "1".repeat(40);
      const fetchFrom = (data: Buffer, checksum: string, more: Record<string, string> = {}) => {
        const { git, attrs } = reading(data, checksum);
        return fetchTree(source("main.git", `#${checksum}`, { ...attrs, ...more }), undefined, git);
      };
      await assert.rejects(fetchFrom(bytes, other), new RegExp(`commit ${other} not found in bundle host/bundles@`));
      await assert.rejects(fetchFrom(Buffer.from("nonsense"), head), /failed to inspect git bundle/);
      const named = `docker-image+blob://host/x@${sha256("other")}`;
      await assert.rejects(fetchFrom(bytes, head, { "git.bundle": named }), /expected checksum to match sha256:/);
      for (const [attrs, message] of [
        [{ "git.bundle": "x" }, 'failed to parse git.bundle locator "x": missing scheme'],
        [
          { "git.bundle": "http://x@sha256:a" },
          /^git\.bundle locator scheme "http" is not supported; expected "docker-image\+blob"/,
        ],
        [{ "git.bundle": "oci-layout+blob://x/y:1" }, /invalid digest/],
        [{ "git.bundle": named, "git.checksum": "" }, "git.bundle requires git.checksum to be set"],
        [
          { "git.checkoutbundle": "true", "git.keepgitdir": "true" },
          "git.checkoutbundle is incompatible with git.keepgitdir",
        ],
      ] as const) {
        await assert.rejects(box.git.resolve(source("main.git", "#main", attrs), box.context()), { message });
      }
    });
  });

  it("goes on with a repository that a killed git has left", async () => {
    commit("main.git", { f: "1" });
    await fetchTree(source("main.git", "#main"));
    const mirrors = join(box.root, "git");
    const [name = ""] = readdirSync(mirrors);
    const left = ["shallow.lock", "config.lock", "refs/tags/main.lock", "objects/pack/tmp_pack_0"];
    for (const path of left) {
      mkdirSync(dirname(join(mirrors, name, path)), { recursive: true });
      writeFileSync(join(mirrors, name, path), "");
    }
    mkdirSync(join(mirrors, "new-half"));
    commit("main.git", { f: "2" });
    commit("other.git", { f: "3" });
    const git = new GitSource({
      ...{ snapshotter: box.snapshotter, runner: box.spawner, mirrorDirectory: mirrors },
      blobs: box.blob,
    });
    const { path } = await fetchTree(source("main.git", "#main"), undefined, git);
    assert.equal(readFileSync(join(path, "f"), "utf8"), "2");
    assert.deepEqual(left.map((path) => existsSync(join(mirrors, name, path))).filter(Boolean), []);
    await fetchTree(source("other.git", "#main"), undefined, git);
    assert.ok(!existsSync(join(mirrors, "new-half")));
  });

  it("leaves nothing behind when aborted", async () => {
    commit("main.git", { f: "1" });
    const request = source("main.git", "#main");
    const resolved = await box.git.resolve(request, box.context());
    const abort = new AbortController();
    const reason = new BuildError(Code.Canceled, "context canceled");
    const runner: CommandRunner = {
      run: (argv, options) => {
        if (argv.includes("fetch")) abort.abort(reason);
        return box.spawner.run(argv, options);
      },
    };
    const git = new GitSource({
      ...{ snapshotter: box.snapshotter, runner, mirrorDirectory: join(box.root, "git") },
      blobs: box.blob,
    });
    await assert.rejects(git.fetch(request, resolved, box.context(undefined, abort.signal)), reason);
    assert.deepEqual([...box.snapshotter.list()], []);
    const { path } = await fetchTree(request);
    assert.equal(readFileSync(join(path, "f"), "utf8"), "1");
  });
});
