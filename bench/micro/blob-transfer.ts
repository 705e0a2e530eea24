import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LocalContentStore } from "../../src/content/index.ts";
import { silentLogger } from "../../src/core/seams/logger.ts";
import { BlobSwarm, HttpBlobTransport, TransferTokens } from "../../src/transfer/index.ts";
import { weighBuffersWithHeap } from "../../src/util/process/index.ts";
import { resumingRead } from "../../src/worker-agent/layers/resuming-read.ts";
import type { BenchCase } from "../cases/bench-case.ts";
import { Keystream } from "../data/keystream.ts";
import { Service } from "../processes/service.ts";
import { secondsOf } from "../workbench.ts";
import { blobServerKey } from "./blob-server-key.ts";

/** One agent fetches from another: HTTP, sha256, content store. Beside it, what a bare socket does on this machine. */
export const blobTransfer: BenchCase = {
  name: "micro-transfer",
  about:
    "500 MB blob from one process to another over loopback, stored and verified; over a bare TCP connection; sha256 alone",
  async run(bench) {
    // As agents do.
    weighBuffersWithHeap();
    const bytes = Math.round(500e6 * bench.scale);
    const served = join(bench.directory, "served-blobs");
    const from = await LocalContentStore.open(served);
    const { digest } = await from.write(incompressible(bytes));
    const log = join(bench.directory, "blob-server.log");
    await using _server = await Service.start({
      command: process.execPath,
      args: [fileURLToPath(new URL("./blob-server-entry.ts", import.meta.url)), served, from.path(digest)],
      logFile: log,
      ready: (text) => text.includes("\n"),
    });
    const { httpPort, tcpPort } = JSON.parse(await readFile(log, "utf8")) as { httpPort: number; tcpPort: number };
    await using transport = new HttpBlobTransport(new TransferTokens(blobServerKey));
    const into = await LocalContentStore.open(join(bench.directory, "fetched-blobs"));
    const signal = new AbortController().signal;
    const url = `http://127.0.0.1:${httpPort}`;
    const swarm = {
      directory: join(bench.directory, "receiving"),
      transport,
      url: () => undefined,
      logger: silentLogger,
    };
    return [
      await bench.sample("blob between agents, in chunks, verified twice", "MB/s", bench.rounds(5), async () => {
        await using fresh = await BlobSwarm.open(swarm);
        const blob = { digest, size: bytes };
        const source = { name: "swarm", open: (offset: number) => fresh.read(blob, [url], offset, signal) };
        const seconds = await secondsOf(async () => {
          for await (const _ of resumingRead(blob, [source], signal));
        });
        return bytes / 1e6 / seconds;
      }),
      await bench.sample("sha256 of as much, nothing else", "MB/s", bench.rounds(5), async () => {
        const block = Buffer.alloc(1 << 20);
        const seconds = await secondsOf(async () => {
          const hash = createHash("sha256");
          for (let at = 0; at < bytes; at += block.length) hash.update(block);
          hash.digest();
        });
        return bytes / 1e6 / seconds;
      }),
      await bench.sample("blob between agents, stored", "MB/s", bench.rounds(5), async () => {
        const seconds = await secondsOf(() => into.write(transport.readBlob(url, digest, 0, signal), { digest }));
        await into.delete(digest);
        return bytes / 1e6 / seconds;
      }),
      await bench.sample("blob between agents, thrown away", "MB/s", bench.rounds(5), async () => {
        const seconds = await secondsOf(async () => {
          for await (const _ of transport.readBlob(url, digest, 0, signal));
        });
        return bytes / 1e6 / seconds;
      }),
      await bench.sample("bare TCP connection, thrown away", "MB/s", bench.rounds(5), async () => {
        const seconds = await secondsOf(async () => {
          const socket = connect({
            port: tcpPort,
            host: "127.0.0.1",
            onread: { buffer: Buffer.alloc(1 << 20), callback: () => true },
          });
          await once(socket, "close");
        });
        return bytes / 1e6 / seconds;
      }),
    ];
  },
};

async function* incompressible(bytes: number): AsyncGenerator<Uint8Array> {
  const stream = new Keystream(9);
  for (let at = 0; at < bytes; at += 1 << 20) yield stream.bytes(Math.min(1 << 20, bytes - at));
}
