import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { PruneRequest } from "../../../src/api/gen/control.ts";
import { type BuildClient, directoryOutput, type Fault, type FaultRule, Sandbox } from "../../helpers/sandbox/index.ts";

const configType = "application/vnd.buildkit.cacheconfig.v0";
const manifestType = "application/vnd.oci.image.manifest.v1+json";
const sha256 = (data: string | Buffer) => `sha256:${createHash("sha256").update(data).digest("hex")}`;
const record = (name: string, ...links: number[]) => ({
  digest: sha256(name),
  inputs: links.map((link) => [{ link }]),
});

interface CacheDocument {
  layers?: unknown[];
  records?: Record<string, unknown>[];
  [field: string]: unknown;
}

interface Manifest {
  config: { mediaType: string; digest: string; size: number };
  layers: { digest: string; size: number }[];
  [field: string]: unknown;
}

describe("a bad cache", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let repository: string;
  let good: { readonly manifest: Manifest; readonly config: CacheDocument };
  let count = 0;

  const dockerfile = () =>
    `FROM ${sandbox.image()}\nRUN echo one > /one\nRUN cat /one > /two\nFROM scratch\nCOPY --from=0 /two /\n`;
  const name = (tag: string) => `${repository}:${tag}`;

  before(async () => {
    sandbox = await Sandbox.start({ standalone: true, proxy: true });
    client = await sandbox.connect();
    repository = `${sandbox.proxy.address}/cache`;
    const exported = { type: "registry", attributes: { ref: name("good"), mode: "max" } };
    await client.build({ dockerfile: dockerfile(), cacheExports: [exported] });
    const manifest = (await (await fetchObject("manifests/good")).json()) as Manifest;
    const config = await fetchObject(`blobs/${manifest.config.digest}`);
    good = { manifest, config: (await config.json()) as CacheDocument };
  });
  beforeEach(async () => {
    sandbox.proxy.rule = () => undefined;
    for await (const _ of client.control.prune(PruneRequest.fromPartial({ all: true }), AbortSignal.timeout(60_000)));
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  async function fetchObject(path: string, init: RequestInit = {}): Promise<Response> {
    const url = path.startsWith("http") ? path : `http://${sandbox.registry}/v2/cache/${path}`;
    const answer = await fetch(url, { ...init, headers: { accept: manifestType, ...init.headers } });
    assert.ok(answer.ok, `${url}: ${answer.status} ${answer.ok ? "" : await answer.text()}`);
    return answer;
  }

  /** Pushes a cache with this config. @returns its tag */
  async function push(config: string, change: Partial<Manifest> = {}): Promise<string> {
    const digest = sha256(config);
    const upload = await fetchObject("blobs/uploads/", { method: "POST" });
    const target = new URL(upload.headers.get("location") ?? "");
    target.searchParams.set("digest", digest);
    const bytes = { method: "PUT", headers: { "content-type": "application/octet-stream" }, body: config };
    await fetchObject(target.href, bytes);
    const described = { mediaType: configType, digest, size: Buffer.byteLength(config) };
    const tag = `bad-${count++}`;
    const body = JSON.stringify({ ...good.manifest, config: described, ...change });
    await fetchObject(`manifests/${tag}`, { method: "PUT", headers: { "content-type": manifestType }, body });
    return tag;
  }

  /** Builds with an imported cache. @returns what became of it */
  async function build(tag: string) {
    const ref = name(tag);
    const done = await client.build({
      dockerfile: dockerfile(),
      cacheImports: [{ type: "registry", attributes: { ref } }],
    });
    const vertex = done.vertices.find(({ name }) => name === `importing cache manifest from ${ref}`);
    assert.ok(vertex?.completed);
    return { error: vertex.error, hits: done.cached.filter((step) => /RUN|COPY/.test(step)).length };
  }

  it("is not the one that was exported", async () => {
    assert.deepEqual(await build("good"), { error: "", hits: 3 });
  });

  it("is not one with fields from another version", async () => {
    const config = {
      ...good.config,
      version: 7,
      records: good.config.records?.map((one) => ({ ...one, weight: [1] })),
    };
    assert.deepEqual(await build(await push(JSON.stringify(config))), { error: "", hits: 3 });
  });

  const bad: Record<string, readonly [() => string, RegExp]> = {
    "with a loop": [() => JSON.stringify({ records: [record("a", 1), record("b", 0)] }), /invalid looping record/],
    "with a million records": [
      () => JSON.stringify({ records: Array.from({ length: 1_000_000 }, () => record("a")) }),
      /is too large \(\d+ > \d+\)/,
    ],
    "of many small lists": [() => `{"records":[${"[],".repeat(1_000_000)}[]]}`, /more than 500000 objects and lists/],
    "of deep lists": [() => "[".repeat(1_000_000), /more than 64 levels/],
    "with a digest longer than any name": [
      () => JSON.stringify({ records: [{ digest: `sha256:${"a".repeat(1_000_000)}` }] }),
      /^.{0,200}… is no digest$/,
    ],
    "with a selector longer than any name": [
      () => JSON.stringify({ records: [record("a"), { ...record("b"), inputs: [[{ selector: "s".repeat(9999) }]] }] }),
      /selector s+…$/,
    ],
    "that is no JSON": [() => "\0\0\0\0", /invalid cache config: /],
    "with layers that are none of the manifest's": [
      () => JSON.stringify({ layers: [], records: [{ ...record("a"), layers: [{ layer: 3 }] }] }),
      /invalid layer index 3/,
    ],
  };
  for (const [what, [config, message]] of Object.entries(bad)) {
    it(`is left out when its config is one ${what}`, async () => {
      const { error, hits } = await build(await push(config()));
      assert.match(error, message);
      assert.equal(hits, 0);
    });
  }

  it("is left out when its config is of another version", async () => {
    const config = { ...good.manifest.config, mediaType: "application/vnd.buildkit.cacheconfig.v9" };
    assert.deepEqual(await build(await push(JSON.stringify(good.config), { config })), { error: "", hits: 0 });
  });

  const isConfig = (url = "") => url.includes(good.manifest.config.digest);
  const isManifest = (url = "") => url.includes("/manifests/");
  const isLayer = (url = "") => good.manifest.layers.some(({ digest }) => url.includes(digest));
  const damaged: Record<string, readonly [FaultRule, RegExp]> = {
    "its manifest is damaged": [
      ({ url }) => (isManifest(url) ? { corrupt: true } : undefined),
      /digest|JSON|unexpected/,
    ],
    "its config is damaged": [
      ({ url }) => (isConfig(url) ? { corrupt: true } : undefined),
      /digest|corrupt|unexpected/,
    ],
    "its config is shorter than said": [
      ({ url, method }) => (isConfig(url) && method === "GET" ? { status: 200, body: "{}" } : undefined),
      /unexpected EOF/,
    ],
    "its config is longer than said": [
      ({ url, method }) =>
        isConfig(url) && method === "GET"
          ? { status: 200, body: " ".repeat(good.manifest.config.size + 1) }
          : undefined,
      /bytes|size|digest|long/,
    ],
  };
  for (const [what, [rule, message]] of Object.entries(damaged)) {
    it(`is left out when ${what}`, async () => {
      sandbox.proxy.rule = rule;
      const { error, hits } = await build("good");
      assert.match(error, message);
      assert.equal(hits, 0);
    });
  }

  for (const [what, fault] of Object.entries<Fault>({ damaged: { corrupt: true }, gone: { status: 404 } })) {
    it(`is done without when a layer that a step needs is ${what}`, async () => {
      sandbox.proxy.rule = ({ url, method }) => (isLayer(url) && method === "GET" ? fault : undefined);
      const output = join(sandbox.root, `output-${count++}`);
      const done = await client.build({
        dockerfile: `${dockerfile()}COPY --from=0 /one /three\n`,
        cacheImports: [{ type: "registry", attributes: { ref: name("good") } }],
        outputs: [directoryOutput(output)],
      });
      assert.match(done.log, /; what is lost is made anew/);
      assert.equal(await readFile(join(output, "three"), "utf8"), "one\n");
    });
  }

  it("gives no hits for layers of another size than said", async () => {
    sandbox.proxy.rule = ({ url, method }) =>
      isLayer(url) && method === "HEAD" ? { status: 200, headers: { "content-length": "7" } } : undefined;
    assert.deepEqual(await build("good"), { error: "", hits: 0 });
  });
});
