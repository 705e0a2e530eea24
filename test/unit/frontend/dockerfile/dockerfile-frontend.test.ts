import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { Op, type SourceOp } from "../../../../src/api/gen/ops.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import type { FrontendResult, SourceMeta } from "../../../../src/core/seams/llb-bridge.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import { DockerfileFrontend } from "../../../../src/frontend/index.ts";
import { image, marshalState, scratch } from "../../../../src/llb/builder/index.ts";
import { type FakeBridgeOptions, FakeLlbBridge } from "../../../helpers/fake-llb-bridge.ts";

const { signal } = new AbortController();
const sourceType = "github.com/moby/buildkit/errdefs.Source+json";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "dockerfile-frontend-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
}

/** Any image exists, with one layer, for the platform that is asked for. */
function anyImage(source: SourceOp, platform: { os: string; architecture: string } | undefined): SourceMeta {
  const config = {
    os: platform?.os ?? "linux",
    architecture: platform?.architecture ?? "amd64",
    rootfs: { type: "layers", diff_ids: [sha256("layer")] },
    config: { Env: ["FROM_BASE=1"] },
  };
  return { source, image: { digest: sha256("image"), config: Buffer.from(JSON.stringify(config)) } };
}

function bridgeFor(options: Partial<FakeBridgeOptions> = {}): FakeLlbBridge {
  const locals = { context: join(root, "context"), dockerfile: root, other: join(root, "other") };
  return new FakeLlbBridge({ locals, resolve: anyImage, ...options });
}

function solve(bridge: FakeLlbBridge, opts: Readonly<Record<string, string>> = {}, inputs = {}) {
  return new DockerfileFrontend().solve(bridge, opts, inputs, signal);
}

/** Source ops of all definitions that were solved, by name. */
function sourcesOf(bridge: FakeLlbBridge): Map<string, SourceOp> {
  const found = new Map<string, SourceOp>();
  for (const { definition } of bridge.solves) {
    for (const bytes of definition?.def ?? []) {
      const { op } = Op.decode(bytes);
      const name = definition?.metadata[sha256(bytes)]?.description["llb.customname"] ?? "";
      if (op?.$case === "source") found.set(name, op.value);
    }
  }
  return found;
}

const failure = async (work: Promise<unknown>): Promise<BuildError> =>
  BuildError.from(
    await work.then(
      () => assert.fail("did not fail"),
      (error: unknown) => error,
    ),
  );

const answer: FrontendResult = { metadata: new Map([["from", Buffer.from("gateway")]]) };

describe("DockerfileFrontend: forwarding", () => {
  it("hands the build to the image of the syntax directive, with all options and inputs", async () => {
    await write({ Dockerfile: "# syntax=docker/dockerfile:1 x\nFROM scratch\n" });
    const bridge = bridgeFor({ frontend: () => answer });
    const inputs = { base: marshalState(image("a")) };
    assert.equal(await solve(bridge, { target: "t" }, inputs), answer);
    const { frontend, frontendOpt, frontendInputs } = bridge.solves.at(-1) ?? {};
    assert.equal(frontend, "gateway.v0");
    assert.deepEqual(frontendOpt, {
      target: "t",
      source: "docker/dockerfile:1",
      cmdline: "docker/dockerfile:1 x",
    });
    assert.equal(frontendInputs, inputs);
  });

  it("prefers BUILDKIT_SYNTAX and names it when it fails", async () => {
    await write({ Dockerfile: "# syntax=a\nFROM scratch\n" });
    const error = await failure(solve(bridgeFor(), { "build-arg:BUILDKIT_SYNTAX": "my/image:1 y" }));
    assert.equal(error.message, "failed with build-arg:BUILDKIT_SYNTAX = my/image:1 y: no frontend gateway.v0");
  });

  it("marks the directive when its image fails", async () => {
    await write({ Dockerfile: "# syntax=a\nFROM scratch\n" });
    const error = await failure(solve(bridgeFor()));
    const detail = error.details.find(({ typeUrl }) => typeUrl === sourceType);
    assert.equal(JSON.parse(Buffer.from(detail?.value ?? []).toString()).ranges[0].start.line, 1);
  });

  it("does not forward what was forwarded to it", async () => {
    await write({ Dockerfile: "# syntax=a\nFROM scratch\n" });
    const result = await solve(bridgeFor(), { cmdline: "a", "build-arg:BUILDKIT_SYNTAX": "b" });
    assert.ok(result.metadata.has("containerimage.config"));
  });
});

describe("DockerfileFrontend: capabilities and requests", () => {
  it("refuses an unknown capability with its name as detail", async () => {
    await write({ Dockerfile: "FROM scratch\n" });
    const error = await failure(solve(bridgeFor(), { "frontend.caps": "moby.buildkit.frontend.inputs,x.y" }));
    assert.equal(error.code, Code.Unimplemented);
    assert.equal(error.message, "unsupported frontend capability x.y");
    assert.deepEqual(
      error.details.map(({ typeUrl, value }) => [typeUrl, Buffer.from(value).toString()]),
      [["github.com/moby/buildkit/errdefs.FrontendCap+json", '{"name":"x.y"}']],
    );
  });

  it("tolerates one marked +forward as long as the build is forwarded", async () => {
    await write({ Dockerfile: "# syntax=a\nFROM scratch\n", "plain.Dockerfile": "FROM scratch\n" });
    const opts = { "frontend.caps": "x.y+forward" };
    assert.equal(await solve(bridgeFor({ frontend: () => answer }), opts), answer);
    const error = await failure(solve(bridgeFor(), { ...opts, filename: "plain.Dockerfile" }));
    assert.equal(error.message, "unsupported frontend capability x.y");
  });

  it("refuses unknown requests with a detail that lets clients fall back", async () => {
    await write({ Dockerfile: "FROM scratch\n" });
    const error = await failure(solve(bridgeFor(), { requestid: "frontend.nope" }));
    assert.equal(error.message, "unsupported request frontend.nope");
    assert.deepEqual(
      error.details.map(({ typeUrl }) => typeUrl),
      ["github.com/moby/buildkit/errdefs.Subrequest+json"],
    );
  });

  it("reports variables that are not there in words that are not well formed, too", async () => {
    await write({ Dockerfile: `FROM scratch\nARG A=\${missing:-x}\${worse/b\\ c/d}\n` });
    const { metadata } = await solve(bridgeFor(), { requestid: "frontend.lint" });
    const { warnings, buildError } = JSON.parse(Buffer.from(metadata.get("result.json") ?? []).toString());
    assert.deepEqual(
      warnings.map(({ detail }: { detail: string }) => detail),
      ["Usage of undefined variable '$missing'", "Usage of undefined variable '$worse'"],
    );
    assert.match(buildError.message, /invalid pattern/);
  });

  it("lints all stages unless there is a target, and reports the error of the build", async () => {
    await write({ Dockerfile: "FROM scratch AS one\nWORKDIR a\nFROM scratch AS two\nCOPY --from=one x\n" });
    const report = async (opts: Readonly<Record<string, string>>) => {
      const { metadata } = await solve(bridgeFor(), { requestid: "frontend.lint", ...opts });
      return JSON.parse(Buffer.from(metadata.get("result.json") ?? []).toString());
    };
    assert.match((await report({})).buildError.message, /COPY requires at least two arguments/);
    await write({ Dockerfile: "FROM scratch AS one\nWORKDIR a\nFROM scratch AS two\n" });
    assert.deepEqual(
      (await report({})).warnings.map(({ ruleName }: { ruleName: string }) => ruleName),
      ["WorkdirRelativePath"],
    );
    assert.equal((await report({ target: "two" })).warnings, null);
  });

  it("outlines what a target can be given", async () => {
    await write({
      Dockerfile: `ARG BASE=scratch
# result is all there is
FROM \${BASE} AS result
# TEXT is what it says
ARG TEXT=hello
RUN --mount=type=secret,id=key,required --mount=type=ssh echo $TEXT
`,
    });
    const { metadata } = await solve(bridgeFor(), { requestid: "frontend.outline", "build-arg:TEXT": "bye" });
    const at = (line: number) => ({ ranges: [{ start: { line }, end: { line } }] });
    const { sources, ...outline } = JSON.parse(Buffer.from(metadata.get("result.json") ?? []).toString());
    assert.equal(sources.length, 1);
    assert.deepEqual(outline, {
      name: "result",
      description: "is all there is",
      args: [
        { name: "BASE", value: "scratch", location: at(1) },
        { name: "TEXT", description: "is what it says", value: "bye", location: at(5) },
      ],
      secrets: [{ name: "key", required: true, location: at(6) }],
      ssh: [{ name: "default", location: at(6) }],
    });
  });
});

describe("DockerfileFrontend: contexts", () => {
  it("loads the Dockerfile, its ignore file and the used paths of the context from the client", async () => {
    await write({
      Dockerfile: "FROM scratch\nCOPY --link b a/../c /x/\nADD https://example.com/y /y\n",
      "context/.dockerignore": "# comment\n/a\n!a/b/\n",
    });
    const bridge = bridgeFor();
    await solve(bridge, { "local-sessionid:context": "session-2" });
    const sources = sourcesOf(bridge);
    assert.deepEqual(sources.get("[internal] load build definition from Dockerfile"), {
      identifier: "local://dockerfile",
      attrs: {
        "local.differ": "none",
        "local.followpaths": '["Dockerfile","Dockerfile.dockerignore","dockerfile"]',
        "local.session": "session-1",
        "local.sharedkeyhint": "dockerfile",
      },
    });
    assert.deepEqual(sources.get("[internal] load .dockerignore")?.attrs, {
      "local.differ": "none",
      "local.followpaths": '[".dockerignore"]',
      "local.session": "session-2",
      "local.sharedkeyhint": "context-.dockerignore",
    });
    assert.deepEqual(sources.get("[internal] load build context"), {
      identifier: "local://context",
      attrs: {
        "local.excludepatterns": '["a","!a/b"]',
        "local.followpaths": '["b","c"]',
        "local.session": "session-2",
        "local.sharedkeyhint": "context",
      },
    });
  });

  it("prefers the ignore file beside the Dockerfile", async () => {
    await write({
      "sub/my.Dockerfile": "FROM scratch\nCOPY . /\n",
      "sub/my.Dockerfile.dockerignore": "mine\n",
      "context/.dockerignore": "general\n",
    });
    const bridge = bridgeFor();
    await solve(bridge, { filename: "sub/my.Dockerfile" });
    const attrs = sourcesOf(bridge).get("[internal] load build context")?.attrs;
    assert.equal(attrs?.["local.excludepatterns"], '["mine"]');
    assert.equal(attrs?.["local.followpaths"], undefined);
  });

  it("finds a dockerfile in lower case", async () => {
    await write({ "d/dockerfile": "FROM scratch\n" });
    assert.ok((await solve(bridgeFor(), { filename: "d/Dockerfile" })).metadata.has("containerimage.config"));
    const error = await failure(solve(bridgeFor(), { filename: "e/Dockerfile" }));
    assert.match(error.message, /^failed to read dockerfile: open e\/Dockerfile: no such file/);
  });

  it("takes Dockerfile and context from a git URL", async () => {
    const bridge = bridgeFor({
      files: { "git://example.com/a/b.git#main:sub": Buffer.from("FROM scratch\nCOPY f /\n") },
    });
    await solve(bridge, {
      context: "https://example.com/a/b.git#main:sub",
      "build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1",
      "build-arg:SOURCE_DATE_EPOCH": "1",
    });
    const [[name, source] = []] = sourcesOf(bridge);
    assert.equal(name, "[internal] load git source https://example.com/a/b.git#main:sub");
    assert.equal(source?.attrs["git.keepgitdir"], "true");
    assert.equal(source?.attrs["git.mtime"], "commit");
    assert.equal(bridge.solves.length, 2);
  });

  it("takes a downloaded file that is no archive as the Dockerfile", async () => {
    const url = "https://example.com/some.file";
    const bridge = bridgeFor({ files: { [url]: Buffer.from("FROM scratch\nLABEL a=b\n") } });
    const { metadata } = await solve(bridge, { context: url });
    const config = JSON.parse(Buffer.from(metadata.get("containerimage.config") ?? []).toString());
    assert.deepEqual(config.config.Labels, { a: "b" });
  });

  it("uses inputs for context, Dockerfile and named contexts with their image config", async () => {
    await write({ Dockerfile: "FROM base\nCOPY f /f\n" });
    const encoded = Buffer.from('{"os":"linux","architecture":"amd64","config":{"Env":["X=1"]}}').toString("base64");
    const bridge = bridgeFor();
    const { metadata } = await solve(
      bridge,
      {
        "context:base": "input:base",
        "input-metadata:base": JSON.stringify({ "containerimage.config": encoded }),
      },
      { base: marshalState(image("b")), context: marshalState(image("c")) },
    );
    const config = JSON.parse(Buffer.from(metadata.get("containerimage.config") ?? []).toString());
    assert.equal(config.config.Env[0], "X=1");
    const last = bridge.solves.at(-1)?.definition?.def.map((bytes) => Op.decode(bytes).op);
    const identifiers = last?.flatMap((op) => (op?.$case === "source" ? [op.value.identifier] : []));
    assert.deepEqual(identifiers, [
      "docker-image://docker.io/library/b:latest",
      "docker-image://docker.io/library/c:latest",
    ]);
    assert.equal(bridge.resolves.length, 0);
  });

  it("refuses an input that is no definition", async () => {
    const error = await failure(solve(bridgeFor(), {}, { context: marshalState(scratch()) }));
    assert.match(error.message, /invalid nil input definition to definition op \("context"\)/);
  });

  it("limits a named local directory by its own ignore file and by what is used of it", async () => {
    await write({ Dockerfile: "FROM scratch\nCOPY --from=other a /\n", "other/.dockerignore": "skip\n" });
    const bridge = bridgeFor();
    await solve(bridge, { "context:other": "local:other", "sharedkey:localdir:other": "key" });
    assert.deepEqual(sourcesOf(bridge).get("[context other] load from client")?.attrs, {
      "local.excludepatterns": '["skip"]',
      "local.followpaths": '["a"]',
      "local.session": "session-1",
      "local.sharedkeyhint": "context:other-key",
    });
  });

  it("follows a policy that turns a named image into another source, but not in circles", async () => {
    await write({ Dockerfile: "FROM base\n" });
    const opts = { "context:base": "docker-image://old" };
    const moved = bridgeFor({
      resolve: (source) => ({ source: { ...source, identifier: "https://example.com/base" } }),
    });
    await solve(moved, opts);
    assert.ok(sourcesOf(moved).has("[context base] https://example.com/base"));
    const circle = bridgeFor({ resolve: (source) => ({ source }) });
    assert.match((await failure(solve(circle, opts))).message, /^context recursion limit exceeded/);
  });
});

describe("DockerfileFrontend: results", () => {
  it("answers one ref and config for each platform, and warns once", async () => {
    await write({ Dockerfile: "FROM base AS b\nWORKDIR rel\nFROM base\nCOPY --from=b /rel /\n" });
    const bridge = bridgeFor();
    const { ref, refs, metadata } = await solve(bridge, { platform: "linux/amd64,linux/arm64" });
    assert.equal(ref, undefined);
    assert.deepEqual([...(refs ?? new Map()).keys()], ["linux/amd64", "linux/arm64"]);
    const texts = new Map([...metadata].map(([key, value]) => [key, Buffer.from(value).toString()]));
    assert.equal(JSON.parse(texts.get("containerimage.config/linux/arm64") ?? "").architecture, "arm64");
    assert.ok(texts.has("containerimage.base.config/linux/amd64"));
    assert.deepEqual(JSON.parse(texts.get("refs.platforms") ?? ""), {
      Platforms: [
        { ID: "linux/amd64", Platform: { architecture: "amd64", os: "linux" } },
        { ID: "linux/arm64", Platform: { architecture: "arm64", os: "linux" } },
      ],
    });
    // Two stages and two platforms ask for two things.
    assert.deepEqual(bridge.resolves.map(({ logName }) => logName).sort(), [
      "[linux/amd64 internal] load metadata for docker.io/library/base:latest",
      "[linux/arm64 internal] load metadata for docker.io/library/base:latest",
    ]);
    assert.equal(bridge.warnings.length, 1);
    assert.match(bridge.warnings[0]?.short ?? "", /^WorkdirRelativePath: .* \(line 2\)$/);
    assert.equal(bridge.warnings[0]?.vertex, sha256(bridge.solves[0]?.definition?.def[0] ?? ""));
  });

  it("passes cache imports on and reports the epoch", async () => {
    await write({ Dockerfile: "FROM scratch\nCOPY a /\n" });
    const bridge = bridgeFor();
    const { metadata } = await solve(bridge, {
      "cache-imports": '[{"Type":"local","Attrs":{"src":"x"}}]',
      "cache-from": "a/b,c",
      "build-arg:SOURCE_DATE_EPOCH": "12",
    });
    assert.deepEqual(bridge.solves.at(-1)?.cacheImports, [
      { type: "local", attrs: { src: "x" } },
      { type: "registry", attrs: { ref: "a/b" } },
      { type: "registry", attrs: { ref: "c" } },
    ]);
    assert.equal(Buffer.from(metadata.get("source.date.epoch") ?? []).toString(), "12");
  });

  it("marks the lines at fault", async () => {
    await write({ Dockerfile: "FROM scratch\nRUN --mount=type=bind,from=nope/Bad,target=/x true\n" });
    const error = await failure(solve(bridgeFor()));
    assert.match(error.message, /must be lowercase/);
    await write({ Dockerfile: "FROM scratch\nSTOPSIGNAL SIGNOPE\n" });
    const signalError = await failure(solve(bridgeFor()));
    assert.equal(signalError.message, "invalid signal: SIGNOPE");
    const detail = signalError.details.find(({ typeUrl }) => typeUrl === sourceType);
    assert.equal(JSON.parse(Buffer.from(detail?.value ?? []).toString()).ranges[0].start.line, 2);
  });

  it("suggests names of stages", async () => {
    await write({ Dockerfile: "FROM scratch AS build\nFROM scratch AS final\n" });
    const error = await failure(solve(bridgeFor(), { target: "buidl" }));
    assert.equal(error.message, 'target stage "buidl" could not be found (did you mean build?)');
  });

  it("builds without cache the stages it is told to", async () => {
    await write({ Dockerfile: "FROM base AS a\nRUN a\nFROM base AS B\nRUN b\nCOPY --from=a /x /x\n" });
    const uncached = async (stages: string) => {
      const bridge = bridgeFor();
      await solve(bridge, { "no-cache": stages });
      return Object.values(bridge.solves.at(-1)?.definition?.metadata ?? {})
        .filter(({ ignoreCache }) => ignoreCache)
        .map(({ description }) => description["llb.customname"])
        .sort();
    };
    assert.deepEqual(await uncached("A"), ["[a 2/2] RUN a"]);
    assert.deepEqual(await uncached(""), ["[a 2/2] RUN a", "[b 2/3] RUN b", "[b 3/3] COPY --from=a /x /x"]);
  });

  it("ends with the reason of an abort", async () => {
    await write({ Dockerfile: "FROM base\n" });
    const abort = new AbortController();
    const reason = new BuildError(Code.Canceled, "client gone");
    const bridge = bridgeFor({
      resolve: () => {
        abort.abort(reason);
        throw abort.signal.reason;
      },
    });
    const error = await failure(new DockerfileFrontend().solve(bridge, {}, {}, abort.signal));
    assert.equal(error.code, Code.Canceled);
    assert.match(error.message, /client gone/);
  });
});

describe("DockerfileFrontend: SOURCE_DATE_EPOCH from a source", () => {
  const epochOf = async (dockerfile: string, resolve: FakeBridgeOptions["resolve"]) => {
    await write({ Dockerfile: dockerfile });
    const bridge = bridgeFor(resolve === undefined ? {} : { resolve });
    const { metadata } = await solve(bridge, { "build-arg:SOURCE_DATE_EPOCH": "src" });
    return Buffer.from(metadata.get("source.date.epoch") ?? []).toString();
  };

  it("is the commit's time for git and the modification time for http", async () => {
    const commit = Buffer.from("tree 1\nauthor A <a> 5 +0000\ncommitter B <b> 1600000001 +0200\n\nmessage\n");
    const git = (source: SourceOp): SourceMeta => ({
      source,
      git: { checksum: "1", ref: "main", commitChecksum: "1", commitObject: commit },
    });
    const withGit = "FROM scratch AS src\nARG REF=main\nADD https://example.com/a.git#$REF /\nFROM scratch\n";
    assert.equal(await epochOf(withGit, git), "1600000001");
    const http = (source: SourceOp): SourceMeta => ({
      source,
      http: { checksum: sha256(""), filename: "a", lastModified: 1_500_000_000_999 },
    });
    assert.equal(await epochOf("FROM scratch AS src\nADD https://example.com/a /\nFROM scratch\n", http), "1500000000");
  });

  it("is that of the newest file of an archive whose server tells none", async () => {
    const header = (type: string, time: number) => {
      const block = Buffer.alloc(512);
      block.write("00000000000\0", 124);
      block.write(`${time.toString(8).padStart(11, "0")}\0`, 136);
      block.write(type, 156);
      return block;
    };
    const tar = Buffer.concat([header("0", 1000), header("0", 3000), header("5", 9000), Buffer.alloc(1024)]);
    for (const data of [tar, gzipSync(tar), zstdCompressSync(tar)]) {
      await write({ Dockerfile: "FROM scratch AS src\nADD https://example.com/a.tar /\nFROM scratch\n" });
      const bridge = bridgeFor({
        resolve: (source) => ({ source, http: { checksum: sha256(""), filename: "a.tar" } }),
        files: { "https://example.com/a.tar": data },
      });
      const { metadata } = await solve(bridge, { "build-arg:SOURCE_DATE_EPOCH": "src" });
      assert.equal(Buffer.from(metadata.get("source.date.epoch") ?? []).toString(), "3000");
    }
  });

  it("needs a stage with one remote ADD and nothing else", async () => {
    for (const [stage, message] of [
      ["FROM base AS src\nADD https://example.com/a /", "SOURCE_DATE_EPOCH stage must use FROM scratch"],
      ["FROM scratch AS src", "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD"],
      ["FROM scratch AS src\nADD a /", "SOURCE_DATE_EPOCH stage source must be a single HTTP(S) or Git ADD"],
      [
        "FROM scratch AS src\nCOPY a /",
        "SOURCE_DATE_EPOCH stage does not meet source-only requirements: unsupported COPY instruction",
      ],
      ["FROM scratch AS other", "invalid SOURCE_DATE_EPOCH: src"],
    ] as const) {
      const error = await failure(epochOf(`${stage}\nFROM scratch\n`, anyImage));
      assert.equal(error.message, message);
    }
  });
});
