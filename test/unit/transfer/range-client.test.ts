import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, it } from "node:test";
import { zstdCompressSync } from "node:zlib";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { RangeClient } from "../../../src/transfer/range-client.ts";
import { HttpStatusError } from "../../../src/transfer/range-connection.ts";

const body = Buffer.from(Array.from({ length: 10_000 }, (_, index) => index % 251));
const head = (length: number | string, status = 206) =>
  `HTTP/1.1 ${status} Whatever\r\nContent-Type: x\r\nContent-Length: ${length}\r\n\r\n`;
const forever = new AbortController().signal;

/** How the server answers the nth request of all; resolves when it is done with it. */
type Answer = (socket: Socket, request: string, index: number) => unknown;

class Peer implements AsyncDisposable {
  readonly url: string;
  readonly client = new RangeClient({ connectTimeoutMs: 1000 });
  readonly sockets: Socket[];
  readonly #close: () => Promise<void>;

  private constructor(port: number, sockets: Socket[], close: () => Promise<void>) {
    this.url = `http://127.0.0.1:${port}`;
    this.sockets = sockets;
    this.#close = close;
  }

  static async start(answer: Answer): Promise<Peer> {
    const sockets: Socket[] = [];
    let index = 0;
    const server = createServer((socket) => {
      sockets.push(socket);
      let request = "";
      socket.on("error", () => {});
      socket.on("data", (data) => {
        request += data;
        if (!request.endsWith("\r\n\r\n")) return;
        answer(socket, request, index++);
        request = "";
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Peer((server.address() as AddressInfo).port, sockets, async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    });
  }

  async get(into: readonly Uint8Array[], signal = forever): Promise<Buffer> {
    const seen: Uint8Array[] = [];
    const onBytes = (piece: Uint8Array) => void seen.push(Buffer.from(piece));
    await this.client.get(this.url, { path: "/x", headers: { a: "b" }, into, onBytes }, signal);
    return Buffer.concat(seen);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client[Symbol.dispose]();
    await this.#close();
  }
}

async function until(holds: () => boolean): Promise<void> {
  const limit = AbortSignal.timeout(20_000);
  while (!holds()) {
    limit.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const places = (...lengths: number[]) => lengths.map((length) => new Uint8Array(length));

describe("RangeClient", () => {
  it("puts a body into its places, however it comes, and uses the connection again", async () => {
    await using peer = await Peer.start(async (socket, request, index) => {
      assert.match(request, /^GET \/x HTTP\/1.1\r\nhost: 127.0.0.1:\d+\r\na: b\r\n\r\n$/);
      const all = Buffer.concat([Buffer.from(head(body.length)), body]);
      const step = [all.length, 7, 100, 4096][index] ?? 1;
      for (let at = 0; at < all.length; at += step) {
        socket.write(all.subarray(at, at + step));
        await new Promise(setImmediate);
      }
    });
    for (const lengths of [[10_000], [1, 9_998, 1], [4000, 4000, 2000], [5000, 5000]]) {
      const into = places(...lengths);
      assert.ok((await peer.get(into)).equals(body));
      assert.ok(Buffer.concat(into).equals(body));
    }
    assert.equal(peer.sockets.length, 1);
  });

  it("runs as many requests at a time as are made", async () => {
    const waiting: Socket[] = [];
    await using peer = await Peer.start((socket) => {
      waiting.push(socket);
      if (waiting.length === 3) for (const one of waiting) one.write(`${head(1)}x`);
    });
    await Promise.all([1, 2, 3].map(() => peer.get(places(1))));
    assert.equal(peer.sockets.length, 3);
  });

  it("makes a request again when the peer had closed the idle connection", async () => {
    await using peer = await Peer.start((socket, _request, index) => {
      if (index === 1) socket.destroy();
      else socket.write(`${head(1)}x`);
    });
    await peer.get(places(1));
    await peer.get(places(1));
    assert.equal(peer.sockets.length, 2);
    peer.sockets[1]?.end();
    await once(peer.sockets[1] as Socket, "close");
    await peer.get(places(1));
  });

  const isDataLoss = (error: unknown) => error instanceof BuildError && error.code === Code.DataLoss;
  const faults: Readonly<Record<string, { readonly says: string; readonly error: (error: unknown) => boolean }>> = {
    "has other bytes": { says: head(9), error: isDataLoss },
    "does not say how many bytes come": {
      says: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      error: isDataLoss,
    },
    "sends more than it says": { says: `${head(10)}${"x".repeat(11)}`, error: isDataLoss },
    refuses: { says: head(0, 404), error: (error) => error instanceof HttpStatusError && error.status === 404 },
    "speaks no HTTP": { says: "SSH-2.0-x\r\n\r\n", error: (error) => error instanceof HttpStatusError },
    "says no end of things": { says: "x".repeat(100_000), error: (error) => /does not end/.test(String(error)) },
  };
  for (const [fault, { says, error }] of Object.entries(faults)) {
    it(`fails, and leaves the connection, when the peer ${fault}`, async () => {
      await using peer = await Peer.start((socket) => socket.write(says));
      await assert.rejects(peer.get(places(10)), error);
      await until(() => peer.sockets[0]?.destroyed === true);
    });
  }

  const zstdHead = (length: number) => head(length).replace("\r\n\r\n", "\r\nContent-Encoding: zstd\r\n\r\n");

  it("puts a compressed body into its places", async () => {
    const zstd = zstdCompressSync(body);
    await using peer = await Peer.start((socket) => {
      socket.write(Buffer.concat([Buffer.from(zstdHead(zstd.length)), zstd]));
    });
    for (const lengths of [[10_000], [4000, 4000, 2000]]) {
      const into = places(...lengths);
      assert.ok((await peer.get(into)).equals(body));
      assert.ok(Buffer.concat(into).equals(body));
    }
    assert.equal(peer.sockets.length, 1);
    await assert.rejects(peer.get(places(9_999)), isDataLoss);
    await assert.rejects(peer.get(places(10_001)), isDataLoss);
  });

  it("fails when what came compressed is none", async () => {
    await using peer = await Peer.start((socket) => socket.write(`${zstdHead(5)}abcde`));
    await assert.rejects(peer.get(places(10)), isDataLoss);
  });

  it("fails when the peer goes in the midst of a body", async () => {
    await using peer = await Peer.start((socket) => socket.end(`${head(10)}xxxxx`));
    await assert.rejects(peer.get(places(10)), /closed/);
    assert.equal(peer.sockets.length, 1);
  });

  it("writes nothing any more once it is aborted", async () => {
    const sent = Promise.withResolvers<Socket>();
    await using peer = await Peer.start((socket) => {
      socket.write(`${head(10)}abc`);
      sent.resolve(socket);
    });
    const stop = new AbortController();
    const into = places(10);
    const running = peer.get(into, stop.signal);
    const socket = await sent.promise;
    await until(() => into[0]?.[2] !== 0);
    stop.abort(new Error("stopped"));
    await assert.rejects(running, /stopped/);
    socket.write("defg");
    await until(() => socket.destroyed);
    assert.deepEqual(Buffer.from(into[0] as Uint8Array), Buffer.from("abc\0\0\0\0\0\0\0"));
    await assert.rejects(peer.get(places(1), AbortSignal.abort(new Error("before"))), /before/);
  });

  it("waits for a connection no longer than it may", async () => {
    const request = { path: "/x", headers: {}, into: places(1), onBytes: () => {} };
    // It never answers the greeting of TLS.
    await using peer = await Peer.start(() => {});
    using client = new RangeClient({ connectTimeoutMs: 50, tls: {} });
    const secured = peer.url.replace("http:", "https:");
    await assert.rejects(client.get(secured, request, forever), /no connection within 50 ms/);
    await assert.rejects(client.get("http://127.0.0.1:1", request, forever), { code: "ECONNREFUSED" });
  });
});
