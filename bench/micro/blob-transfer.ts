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
import { type BlobSource, resumingRead } from "../../src/worker-agent/layers/resuming-read.ts";
import type { BenchCase } from "../cases/bench-case.ts";
import { Keystream } from "../data/keystream.ts";
import type { Figure } from "../figure.ts";
import { Service } from "../processes/service.ts";
import { computedSeconds, secondsOf } from "../workbench.ts";
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
    await using server = await Service.start({
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
    /** Rate, and CPU of both processes: that says more on a machine that does other things as well. */
    const measure = async (name: string, work: () => Promise<unknown>): Promise<Figure[]> => {
      const rates: number[] = [];
      const receiver: number[] = [];
      const sender: number[] = [];
      for (let round = 0; round <= bench.rounds(5); round++) {
        const own = process.cpuUsage();
        const others = await computedSeconds(server.pid);
        const seconds = await secondsOf(work);
        const { user, system } = process.cpuUsage(own);
        // The first one is for nothing.
        if (round === 0) continue;
        rates.push(bytes / 1e6 / seconds);
        receiver.push((user + system) / 1e6 / (bytes / 1e9));
        sender.push(((await computedSeconds(server.pid)) - others) / (bytes / 1e9));
      }
      return [
        { name, unit: "MB/s", ours: rates },
        { name: `${name}: CPU of the receiver`, unit: "s/GB", ours: receiver },
        { name: `${name}: CPU of the sender`, unit: "s/GB", ours: sender },
      ];
    };
    const blob = { digest, size: bytes };
    const inChunks = async (read: (source: BlobSource) => AsyncIterable<Uint8Array>) => {
      await using fresh = await BlobSwarm.open(swarm);
      const source = { name: "swarm", open: (offset: number) => fresh.read(blob, [url], offset, signal) };
      for await (const _ of read(source));
    };
    return [
      ...(await measure("in chunks, each verified; the whole is for who unpacks", () =>
        inChunks((source) => resumingRead(blob, [source], signal, { verify: false })),
      )),
      ...(await measure("in chunks, verified twice", () => inChunks((source) => resumingRead(blob, [source], signal)))),
      ...(await measure("in one stream, stored and verified", async () => {
        await into.write(transport.readBlob(url, digest, 0, signal), { digest });
        await into.delete(digest);
      })),
      ...(await measure("in one stream, thrown away", async () => {
        for await (const _ of transport.readBlob(url, digest, 0, signal));
      })),
      ...(await measure("bare TCP connection, thrown away", async () => {
        const socket = connect({
          port: tcpPort,
          host: "127.0.0.1",
          onread: { buffer: Buffer.alloc(1 << 20), callback: () => true },
        });
        await once(socket, "close");
      })),
      ...(
        await measure("sha256 of as much, nothing else", async () => {
          const block = Buffer.alloc(1 << 20);
          const hash = createHash("sha256");
          for (let at = 0; at < bytes; at += block.length) hash.update(block);
          hash.digest();
        })
      ).slice(0, 2),
    ];
  },
};

async function* incompressible(bytes: number): AsyncGenerator<Uint8Array> {
  const stream = new Keystream(9);
  for (let at = 0; at < bytes; at += 1 << 20) yield stream.bytes(Math.min(1 << 20, bytes - at));
}
