import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { LocalContentStore } from "../../../src/content/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import type { LayerId } from "../../../src/core/values/layer.ts";
import {
  BlobServer,
  HttpBlobTransport,
  MeteredBlobTransport,
  TransferMeter,
  TransferTokens,
} from "../../../src/transfer/index.ts";
import { waitFor } from "../../helpers/sandbox/wait-for.ts";

const signal = new AbortController().signal;
const data = Buffer.alloc(3 << 20, "layer bytes ");
const digest = sha256(data);

/** What the peer's cache mount consists of. */
let mountBytes: () => AsyncIterable<Uint8Array>;
/** Cache mounts that the server has given back. */
const returned: string[] = [];

async function withPeers(
  use: (
    transport: HttpBlobTransport,
    url: string,
    stranger: HttpBlobTransport,
    content: LocalContentStore,
    sentBytes: () => number,
  ) => Promise<void>,
): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), "buildfleet-transfer-"));
  returned.length = 0;
  try {
    const content = await LocalContentStore.open(root);
    await content.write(
      (async function* () {
        yield data;
      })(),
    );
    const tokens = new TransferTokens(Buffer.from("fleet key"));
    const packLayer = async (id: LayerId) => {
      if (id !== "known") throw new BuildError(Code.NotFound, `layer ${id} is not here`);
      return { mediaType: "m", digest, size: data.length };
    };
    const readCacheMount = async (entryId: string) => {
      if (entryId !== "entry") throw new BuildError(Code.NotFound, `cache mount ${entryId} is not here`);
      return { version: "v", bytes: mountBytes(), [Symbol.dispose]: () => void returned.push(entryId) };
    };
    let sentBytes = 0;
    const onSent = (bytes: number) => {
      sentBytes += bytes;
    };
    await using server = new BlobServer({ content, packLayer, readCacheMount, tokens, logger: silentLogger, onSent });
    const port = await server.listen("127.0.0.1", 0);
    await using transport = new HttpBlobTransport(tokens);
    await using stranger = new HttpBlobTransport(new TransferTokens(Buffer.from("another key")));
    await use(transport, `http://127.0.0.1:${port}`, stranger, content, () => sentBytes);
  } finally {
    await rm(root, { recursive: true });
  }
}

async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const withCode = (code: number) => (error: unknown) =>
  error instanceof BuildError && error.code === code && error.infrastructure;

describe("transfer between agents", () => {
  it("drops a blob that is found corrupt, and only such a one", () =>
    withPeers(async (transport, url, _stranger, content) => {
      await transport.checkBlob(url, digest, signal);
      assert.ok((await content.stat(digest)) !== undefined);
      await writeFile(content.path(digest), "not what it was");
      await transport.checkBlob(url, digest, signal);
      assert.equal(await content.stat(digest), undefined);
      await assert.rejects(transport.checkBlob(url, digest, signal), withCode(Code.NotFound));
    }));

  it("reads a blob whole, from an offset, and from its end", () =>
    withPeers(async (transport, url) => {
      assert.ok((await collect(transport.readBlob(url, digest, 0, signal))).equals(data));
      assert.ok((await collect(transport.readBlob(url, digest, 1 << 20, signal))).equals(data.subarray(1 << 20)));
      assert.equal((await collect(transport.readBlob(url, digest, data.length, signal))).length, 0);
    }));

  it("is measured on both sides", () =>
    withPeers(async (transport, url, _stranger, _content, sentBytes) => {
      mountBytes = async function* () {
        yield data;
      };
      const meter = new TransferMeter(() => performance.now());
      const metered = new MeteredBlobTransport(transport, meter);
      await collect(metered.readBlob(url, digest, 0, signal));
      await metered.readInto(url, digest, 0, [Buffer.alloc(1000)], signal, () => {});
      await collect((await metered.readCacheMount(url, "entry", signal)).bytes);
      const total = 2 * data.length + 1000;
      assert.equal(meter.totalBytes, total);
      await waitFor("the peer to have sent all", () => sentBytes() >= total);
    }));

  it("sends parts compressed to who has a slow link, and to nobody else", () =>
    withPeers(async (_transport, url, _stranger, _content, sentBytes) => {
      const into = [new Uint8Array(1 << 20), new Uint8Array(1 << 20)];
      for (const { bytesPerSecond, isSlow } of [
        { bytesPerSecond: 8e6, isSlow: true },
        { bytesPerSecond: 80e6, isSlow: false },
      ]) {
        let time = 0;
        const link = new TransferMeter(() => time);
        {
          using _read = link.read();
          time = 1000;
          link.arrived(bytesPerSecond);
        }
        await using transport = new HttpBlobTransport(new TransferTokens(Buffer.from("fleet key")), undefined, link);
        const before = sentBytes();
        await transport.readInto(url, digest, 77, into, signal, () => {});
        assert.ok(Buffer.concat(into).equals(data.subarray(77, 77 + (2 << 20))));
        if (isSlow) {
          await waitFor("the peer to have sent it", () => sentBytes() > before);
          assert.ok(sentBytes() - before < 1 << 20);
        } else await waitFor("the peer to have sent it", () => sentBytes() - before > 2 << 20);
      }
    }));

  it("says whether it is there", () =>
    withPeers(async (transport, url) => {
      await transport.ping(url, signal);
      await assert.rejects(transport.ping("http://127.0.0.1:1", signal), withCode(Code.Unavailable));
      await assert.rejects(transport.ping(url, AbortSignal.abort(new Error("stopped"))), /stopped/);
    }));

  it("asks the holder to cut a layer", () =>
    withPeers(async (transport, url) => {
      assert.equal((await transport.layerBlob(url, "known" as LayerId, signal)).digest, digest);
      await assert.rejects(transport.layerBlob(url, "other" as LayerId, signal), withCode(Code.NotFound));
    }));

  it("gives nothing without the fleet's key", () =>
    withPeers(async (_transport, url, stranger) => {
      await assert.rejects(collect(stranger.readBlob(url, digest, 0, signal)), /403/);
      const plain = await fetch(`${url}/v1/blobs/${digest}`);
      assert.equal(plain.status, 403);
      await plain.body?.cancel();
    }));

  it("says that a blob or peer is not there", () =>
    withPeers(async (transport, url) => {
      await assert.rejects(collect(transport.readBlob(url, sha256("none"), 0, signal)), withCode(Code.NotFound));
      await assert.rejects(
        collect(transport.readBlob("http://127.0.0.1:1", digest, 0, signal)),
        withCode(Code.Unavailable),
      );
    }));

  it("reads a cache mount whose digest comes behind it", () =>
    withPeers(async (transport, url, stranger) => {
      mountBytes = async function* () {
        for (let i = 0; i < 5; i++) yield data.subarray(i, (i + 1) * 100_000);
      };
      const { version, bytes } = await transport.readCacheMount(url, "entry", signal);
      assert.equal(version, "v");
      assert.equal((await collect(bytes)).length, 1_500_000 - 10);
      await assert.rejects(transport.readCacheMount(url, "other", signal), withCode(Code.NotFound));
      await assert.rejects(stranger.readCacheMount(url, "entry", signal), /403/);
      assert.deepEqual(returned, ["entry"]);
    }));

  it("fails at the end of a cache mount that is not as it was sent, or not all of it", () =>
    withPeers(async (transport, url) => {
      const damaging = createServer((_, response) => {
        response.writeHead(200, { trailer: "x-content-digest" });
        response.addTrailers({ "x-content-digest": sha256("what was meant") });
        response.end("what came");
      });
      await new Promise<void>((resolve) => damaging.listen(0, "127.0.0.1", resolve));
      const { port } = damaging.address() as AddressInfo;
      const damaged = await transport.readCacheMount(`http://127.0.0.1:${port}`, "entry", signal);
      await assert.rejects(collect(damaged.bytes), withCode(Code.DataLoss));
      damaging.closeAllConnections();
      damaging.close();
      mountBytes = async function* () {
        yield data;
        throw new Error("disk trouble");
      };
      const cut = await transport.readCacheMount(url, "entry", signal);
      await assert.rejects(collect(cut.bytes), withCode(Code.Unavailable));
    }));

  it("takes no path for a blob and no token for another path", () => {
    const tokens = new TransferTokens(Buffer.from("k"));
    const token = tokens.sign("/v1/blobs/a");
    assert.equal(tokens.verify("/v1/blobs/a", token), true);
    assert.equal(tokens.verify("/v1/blobs/b", token), false);
    assert.equal(tokens.verify("/v1/blobs/a", "x"), false);
    assert.equal(
      new TransferTokens(Buffer.from("k"), () => Date.now() + 3_600_000).verify("/v1/blobs/a", token),
      false,
    );
  });
});
