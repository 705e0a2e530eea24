import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { Definition, Op } from "../../../src/api/gen/ops.ts";
import { MatchType } from "../../../src/api/gen/sourcepolicy.ts";
import { sourceExcerpts } from "../../../src/client/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import { FileAction, http, image, marshalState, scratch, stateFromDefinition } from "../../../src/llb/builder/index.ts";
import { assembleDefinition, encodeOp } from "../../../src/llb/definition/index.ts";
import { type BuildClient, directoryOutput, Sandbox, type TestBuild } from "../../helpers/sandbox/index.ts";
import { allow, convert, deny, equal, policy, select } from "../../unit/source-policy/rules.ts";

describe("source policies", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let files: Server;
  let url = "";
  let outputs = 0;
  const asked: string[] = [];

  before(async () => {
    sandbox = await Sandbox.start({ standalone: true });
    client = await sandbox.connect();
    files = createServer((request, response) => {
      asked.push(request.url ?? "");
      response.end(`content of ${request.url}`);
    }).listen(0, "127.0.0.1");
    await once(files, "listening");
    url = `http://127.0.0.1:${(files.address() as AddressInfo).port}`;
  });
  afterEach(() => sandbox.idle());
  after(async () => {
    files?.close();
    await sandbox?.[Symbol.asyncDispose]();
  });

  async function exported(build: TestBuild): Promise<string> {
    const path = join(sandbox.root, `output-${outputs++}`);
    await client.build({ ...build, outputs: [directoryOutput(path)] });
    return path;
  }

  it("denies a source before anything is fetched", async () => {
    const sourcePolicy = policy(allow("*"), deny(`${url}/denied*`));
    await assert.rejects(client.build({ state: http(`${url}/denied-1`), sourcePolicy }), {
      message:
        "failed to solve: failed to load LLB: error evaluating the source policy: " +
        `source "${url}/denied-1" denied by policy: source denied by policy`,
    });
    assert.ok(!asked.includes("/denied-1"));
  });

  it("puts another source in place, with its own cache and name", async () => {
    const state = scratch().file(FileAction.none.copy(http(`${url}/one`, { filename: "file" }), "/file", "/file"));
    assert.equal(await readFile(join(await exported({ state }), "file"), "utf8"), "content of /one");
    const sourcePolicy = policy(convert(`${url}/*`, `${url}/other-$1`));
    const converted = policy(...sourcePolicy.rules, allow("*"));
    // Without an end the rule would go on for ever.
    await assert.rejects(client.build({ state, sourcePolicy: converted }), /too many mutations on a single source/);
    const once = policy(convert(select(`${url}/one`, MatchType.EXACT), `${url}/two`));
    const path = join(sandbox.root, `output-${outputs++}`);
    const { vertices } = await client.build({ state, sourcePolicy: once, outputs: [directoryOutput(path)] });
    assert.equal(await readFile(join(path, "file"), "utf8"), "content of /two");
    assert.ok(vertices.some(({ name }) => name === `${url}/two`));
  });

  it("adds attributes, which then count", async () => {
    const state = http(`${url}/checked`);
    const pinned = (checksum: string) => policy(convert(`${url}/checked`, "", { "http.checksum": checksum }));
    await client.build({ state, sourcePolicy: pinned(sha256("content of /checked")) });
    await assert.rejects(client.build({ state, sourcePolicy: pinned(sha256("else")) }), /digest mismatch/);
    const unpinned = policy(deny(select(`${url}/*`, MatchType.WILDCARD, [equal("http.checksum", "")])));
    await assert.rejects(client.build({ state, sourcePolicy: unpinned }), /denied by policy/);
    const { rules } = pinned(sha256("content of /checked"));
    await client.build({ state, sourcePolicy: policy(...rules, ...unpinned.rules) });
  });

  it("applies to the images of a Dockerfile, and errors still say which line", async () => {
    const dockerfile = "FROM example.com/base:1\nRUN echo ran\nRUN exit 7\n";
    const good = policy(
      convert("docker-image://example.com/base:*", `docker-image://${sandbox.image("busybox:latest")}`),
    );
    await assert.rejects(client.build({ dockerfile, sourcePolicy: good }), (error) => {
      assert.ok(error instanceof BuildError);
      assert.match(error.message, /exit code: 7/);
      assert.match(sourceExcerpts(error).join(""), />>> RUN exit 7/);
      return true;
    });
    const denied = client.build({ dockerfile, sourcePolicy: policy(deny("docker-image://*")) });
    await assert.rejects(denied, (error) => {
      assert.ok(error instanceof BuildError);
      assert.match(
        error.message,
        /could not resolve image due to policy: source "docker-image:\/\/example\.com\/base:1" denied by policy/,
      );
      assert.match(sourceExcerpts(error).join(""), />>> FROM example\.com\/base:1/);
      return true;
    });
    await assert.rejects(client.build({ dockerfile, sourcePolicy: policy(deny("local://dockerfile")) }), /denied/);
  });

  it("applies to named contexts, which may become directories", async () => {
    const replacement = await client.writeContext({ foo: "from a directory" });
    const path = await exported({
      dockerfile: "FROM scratch AS replace\nFROM scratch\nCOPY --from=replace /foo /\n",
      options: { "context:replace": "docker-image://example.com/base:1" },
      locals: { test: replacement },
      sourcePolicy: policy(convert(select("docker-image://example.com/base:1", MatchType.EXACT), "local://test")),
    });
    assert.equal(await readFile(join(path, "foo"), "utf8"), "from a directory");
  });

  it("tells in provenance what was used", async () => {
    const dockerfile = "FROM example.com/base:1\nRUN echo used\n";
    const path = await exported({
      dockerfile,
      options: { "attest:provenance": "mode=min,version=v1" },
      sourcePolicy: policy(convert("docker-image://example.com/base:1", `docker-image://${sandbox.image()}`)),
    });
    const { predicate } = JSON.parse(await readFile(join(path, "provenance.json"), "utf8"));
    const uris = predicate.buildDefinition.resolvedDependencies.map(({ uri }: { uri: string }) => uri);
    assert.equal(uris.length, 1);
    assert.match(uris[0], /busybox@latest/);
  });

  it("applies to what a step builds", async () => {
    const inner = Definition.encode(marshalState(http(`${url}/nested`))).finish();
    const holder = marshalState(scratch().file(FileAction.none.mkfile("/llb", 0o644, inner)));
    const head = holder.def.at(-2) ?? new Uint8Array();
    const build = Op.fromPartial({
      inputs: [{ digest: sha256(head), index: 0 }],
      op: {
        $case: "build",
        value: {
          builder: -1,
          inputs: { "buildkit.llb.definition": { input: 0 } },
          attrs: { "llbbuild.filename": "llb" },
        },
      },
    });
    const step = encodeOp(build);
    const before = holder.def.slice(0, -1).map((bytes) => encodeOp(Op.decode(bytes)));
    const state = stateFromDefinition(
      assembleDefinition({ ops: [...before, step], wanted: { digest: step.digest, index: 0 } }),
    );
    await assert.rejects(
      client.build({ state, sourcePolicy: policy(deny(`${url}/nested`)) }),
      /nested" denied by policy/,
    );
    assert.ok(!asked.includes("/nested"));
    const path = await exported({ state, sourcePolicy: policy(convert(`${url}/nested`, `${url}/instead`)) });
    assert.equal(await readFile(join(path, "nested"), "utf8").catch(() => ""), "");
    assert.equal(await readFile(join(path, "instead"), "utf8"), "content of /instead");
  });

  it("takes a source of another kind for an image", async () => {
    const name = "docker-image://example.com/file:1";
    const sourcePolicy = policy(convert(name, `${url}/file`, { "http.filename": "file" }));
    const path = await exported({ state: image("example.com/file:1"), sourcePolicy });
    assert.equal(await readFile(join(path, "file"), "utf8"), "content of /file");
    // A Dockerfile has no use for one.
    await assert.rejects(client.build({ dockerfile: "FROM example.com/file:1\n", sourcePolicy }), {
      message: `failed to solve: example.com/file:1: ref mutated by policy to non-image: ${name} -> ${url}/file`,
    });
  });
});
