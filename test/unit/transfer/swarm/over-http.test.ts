import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { LocalContentStore } from "../../../../src/content/index.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import type { BlobStat } from "../../../../src/core/seams/content-store.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import {
  BlobServer,
  BlobSwarm,
  HttpBlobTransport,
  SwarmServer,
  TransferTokens,
} from "../../../../src/transfer/index.ts";
import { collect } from "../../../helpers/collect.ts";
import { incompressible } from "../../../helpers/swarm/incompressible.ts";

const signal = new AbortController().signal;
const size = (18 << 20) + 5;
const key = Buffer.from("fleet key");
const logger = silentLogger;

interface Agent {
  readonly url: string;
  readonly content: LocalContentStore;
  readonly swarm: BlobSwarm;
  readonly transport: HttpBlobTransport;
}

async function startAgent(root: string, owned: AsyncDisposableStack): Promise<Agent> {
  const content = await LocalContentStore.open(join(root, "content"), { durable: false });
  const tokens = new TransferTokens(key);
  const transport = owned.use(new HttpBlobTransport(tokens));
  let url: string | undefined;
  const directory = join(root, "receiving");
  const swarm = owned.use(await BlobSwarm.open({ directory, transport, url: () => url, logger }));
  const packLayer = async () => {
    throw new BuildError(Code.NotFound, "no layers here");
  };
  const answers = new SwarmServer({ content, received: (digest) => swarm.received(digest) });
  const server = owned.use(new BlobServer({ content, tokens, packLayer, swarm: answers, logger }));
  url = `http://127.0.0.1:${await server.listen("127.0.0.1", 0)}`;
  return { url, content, swarm, transport };
}

async function withAgents(
  use: (holder: Agent, others: readonly Agent[], blob: BlobStat) => Promise<void>,
): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), "buildfleet-swarm-"));
  try {
    await using owned = new AsyncDisposableStack();
    const [holder, ...others] = await Promise.all(["a", "b", "c"].map((name) => startAgent(join(root, name), owned)));
    assert.ok(holder !== undefined);
    await use(holder, others, await holder.content.write(incompressible(size, 1)));
  } finally {
    await rm(root, { recursive: true });
  }
}

const question = { have: "", want: [], count: 0, insist: false, digestsFrom: 0, seen: 0, lost: [] };
const withCode = (code: number) => (error: unknown) =>
  error instanceof BuildError && error.code === code && error.infrastructure;

describe("BlobSwarm over HTTP", () => {
  it("brings a blob to agents that fetch it at the same time", () =>
    withAgents(async (holder, others, blob) => {
      const data = await collect(holder.content.read(blob.digest));
      const copies = await Promise.all(others.map(({ swarm }) => collect(swarm.read(blob, [holder.url], 0, signal))));
      for (const copy of copies) assert.ok(copy.equals(data));
    }));

  it("serves what it received, and what it is receiving", () =>
    withAgents(async (holder, [first, second], blob) => {
      assert.ok(first && second);
      const reading = first.swarm.read(blob, [holder.url], 0, signal);
      await reading.next();
      const into = new Uint8Array(1 << 20);
      await second.transport.readInto(first.url, blob.digest, 0, [into], signal, () => {});
      const wanted = await collect(holder.content.read(blob.digest, { length: into.length }));
      assert.ok(wanted.equals(into));
      const answer = await second.transport.ask(first.url, blob.digest, question, signal);
      assert.equal(answer.whole, false);
      assert.equal(answer.size, size);
      await collect(reading);
      const plain = second.transport.readBlob(first.url, blob.digest, size - 7, signal);
      assert.equal((await collect(plain)).length, 7);
    }));

  it("has nothing of other blobs, nor more of this one than there is", () =>
    withAgents(async (holder, [other], blob) => {
      assert.ok(other);
      const into = new Uint8Array(1000);
      const read = (url: string, start: number) =>
        other.transport.readInto(url, blob.digest, start, [into], signal, () => {});
      await assert.rejects(read(other.url, 0), withCode(Code.NotFound));
      await assert.rejects(other.transport.ask(other.url, blob.digest, question, signal), withCode(Code.NotFound));
      await assert.rejects(read(holder.url, size - 999), withCode(Code.DataLoss));
      await assert.rejects(read(holder.url, size + 1), withCode(Code.Unavailable));
      await assert.rejects(read("http://127.0.0.1:1", 0), withCode(Code.Unavailable));
    }));

  it("answers nobody without a token, and no nonsense", () =>
    withAgents(async (holder, _others, blob) => {
      const path = `/v1/swarms/${blob.digest}`;
      const post = async (token: string, body: string): Promise<number> => {
        const headers = { authorization: `Bearer ${token}` };
        const response = await fetch(holder.url + path, { method: "POST", headers, body });
        await response.body?.cancel();
        return response.status;
      };
      const tokens = new TransferTokens(key);
      assert.equal(await post("", JSON.stringify(question)), 403);
      assert.equal(await post(tokens.sign(`/v1/blobs/${blob.digest}`), JSON.stringify(question)), 403);
      assert.equal(await post(tokens.sign(path), JSON.stringify(question)), 200);
      for (const body of ["", "{", "null", "[]", JSON.stringify({ ...question, want: [-1] }), "x".repeat(2 << 20)]) {
        assert.equal(await post(tokens.sign(path), body), 400, body.slice(0, 100));
      }
    }));
});
