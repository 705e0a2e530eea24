import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Duplex, FileReceiver, FileSender } from "../../src/filesync/index.ts";
import { AsyncQueue } from "../../src/util/async-queue.ts";
import type { BenchCase } from "../cases/bench-case.ts";
import { secondsOf, type Workbench } from "../workbench.ts";

/** The transfer of a build context without gRPC: our sender and our receiver, joined by queues in memory. */
export const fileSync: BenchCase = {
  name: "micro-filesync",
  about: "fsutil transfer in memory to disk: 20,000 small files, 500 MB in large ones, and 20,000 unchanged ones",
  async run(bench) {
    await using sender = new FileSender();
    await using receiver = new FileReceiver();
    const many = await bench.manyFiles();
    const big = await bench.bigTree();
    const files = 20_000 * bench.scale;
    return [
      await bench.sample("file transfer, small files", "files/s", bench.rounds(3), () =>
        inScratch(bench, async (scratch) => files / (await transfer(sender, receiver, many, scratch, "first"))),
      ),
      await bench.sample("file transfer, large files", "MB/s", bench.rounds(3), () =>
        inScratch(
          bench,
          async (scratch) => (500 * bench.scale) / (await transfer(sender, receiver, big, scratch, "first")),
        ),
      ),
      await bench.sample("file transfer, nothing changed", "files/s", bench.rounds(3), () =>
        inScratch(bench, async (scratch) => {
          await transfer(sender, receiver, many, scratch, "first");
          return files / (await transfer(sender, receiver, many, scratch, "second", "first"));
        }),
      ),
    ];
  },
};

async function inScratch(bench: Workbench, work: (scratch: string) => Promise<number>): Promise<number> {
  const scratch = await mkdtemp(join(bench.directory, "filesync-"));
  try {
    return await work(scratch);
  } finally {
    await rm(scratch, { recursive: true });
  }
}

/** @returns seconds */
async function transfer(
  sender: FileSender,
  receiver: FileReceiver,
  source: string,
  scratch: string,
  name: string,
  previous?: string,
): Promise<number> {
  const directory = await mkdtemp(join(scratch, "tree-"));
  const { client, server, end } = duplexPair();
  const tree = { directory: source, prefix: "", owner: { uid: 0, gid: 0 } };
  return secondsOf(async () => {
    await Promise.all([
      sender.send(server, [tree]).then(end),
      receiver.receive(client, {
        directory,
        differ: "metadata",
        indexFile: join(scratch, name),
        ...(previous === undefined ? {} : { previous: { directory, indexFile: join(scratch, previous) } }),
      }),
    ]);
  });
}

function duplexPair(): { readonly client: Duplex; readonly server: Duplex; readonly end: () => void } {
  const toServer = new AsyncQueue<Uint8Array>(32);
  const toClient = new AsyncQueue<Uint8Array>(32);
  return {
    client: {
      send: async (message) => void (await toServer.push(message)),
      messages: toClient,
      closeSend: () => toServer.end(),
    },
    server: { send: async (message) => void (await toClient.push(message)), messages: toServer },
    end: () => toClient.end(),
  };
}
