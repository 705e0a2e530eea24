import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { ClientContent } from "../../../src/cache/local/client-content.ts";
import { OciLayout } from "../../../src/client/content/oci-layout.ts";
import { ContentService } from "../../../src/client/session/index.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import type { SessionCaller } from "../../../src/core/seams/session-caller.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import { GrpcClient, GrpcServer } from "../../../src/grpc/index.ts";
import { duplexStreamPair } from "./stream-pair.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "layout-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe("OciLayout", () => {
  const manifest = (digest: string) => ({ mediaType: "m", digest, size: 1, annotations: { kept: "yes" } });

  it("names manifests, and gives a name to the latest one", async () => {
    const layout = new OciLayout(join(directory, "new"));
    assert.equal(await layout.find("latest"), undefined);
    await layout.put(manifest("sha256:1"), [{ tag: "latest" }]);
    await layout.put(manifest("sha256:2"), [{ name: "example.com/a:v1" }]);
    await layout.put(manifest("sha256:3"), [{ tag: "latest" }]);
    assert.equal((await layout.find("latest"))?.digest, "sha256:3");
    assert.equal((await layout.find("example.com/a:v1"))?.digest, "sha256:2");
    assert.equal((await layout.find("v1"))?.digest, "sha256:2");
    const index = JSON.parse(await readFile(join(directory, "new", "index.json"), "utf8"));
    assert.equal(index.manifests.length, 2);
    assert.equal(index.manifests[0].annotations.kept, "yes");
    assert.deepEqual((await readdir(join(directory, "new"))).sort(), ["index.json", "oci-layout"]);
  });
});

describe("ContentService", () => {
  const data = Buffer.alloc(3_000_000, "blob");
  const digest = sha256(data);
  const { signal } = new AbortController();

  async function withContent(
    writable: boolean,
    use: (content: ClientContent, other: ClientContent) => Promise<void>,
  ): Promise<void> {
    const offered = { layout: new OciLayout(directory), writable };
    await using server = new GrpcServer({ logger: silentLogger, keepAliveIntervalMs: 0 });
    new ContentService(new Map([["local:x", offered]])).register(server);
    const [near, far] = duplexStreamPair();
    void server.serveDuplex(far, { peer: { address: "test" } });
    await using client = new GrpcClient(near);
    const caller: SessionCaller = {
      id: "s",
      sharedKey: "",
      supports: () => true,
      open: (method, options) => client.open(method, options),
    };
    await use(new ClientContent(caller, "local:x"), new ClientContent(caller, "local:y"));
  }

  it("takes blobs once and gives them back", async () => {
    await withContent(true, async (content) => {
      const write = () =>
        content.write(
          { digest, size: data.length },
          async function* () {
            yield data;
          },
          signal,
        );
      assert.equal(await write(), true);
      assert.equal(await write(), false);
      assert.equal(await content.size(digest, signal), data.length);
      assert.deepEqual(await content.read({ digest, size: data.length, mediaType: "m" }, signal), data);
      assert.deepEqual(await readdir(join(directory, "ingest")), []);
    });
  });

  it("keeps nothing of a blob that is not what was announced", async () => {
    await withContent(true, async (content) => {
      const size = data.length;
      const wrong = content.write(
        { digest, size },
        async function* () {
          yield Buffer.alloc(size);
        },
        signal,
      );
      await assert.rejects(wrong, /unexpected commit digest/);
      const short = content.write(
        { digest, size },
        async function* () {
          yield data.subarray(1);
        },
        signal,
      );
      await assert.rejects(short, /unexpected commit size/);
      await assert.rejects(content.size(digest, signal), { code: 5 });
      assert.deepEqual(await readdir(join(directory, "ingest")), []);
    });
  });

  it("offers only what it was given, and for writing only what may be written", async () => {
    await withContent(false, async (content, other) => {
      await assert.rejects(other.size(digest, signal), /unknown store local:y/);
      const write = content.write(
        { digest, size: 1 },
        async function* () {
          yield data;
        },
        signal,
      );
      await assert.rejects(write, /may only be read/);
      await assert.rejects(content.size(sha256("none"), signal), { code: 5 });
    });
  });
});
