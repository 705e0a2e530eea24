/** An agent's share in the transfer of blobs and nothing else: `swarm-peer-entry.ts <directory> <address>`, told what to do over IPC. */
import { join } from "node:path";
import { LocalContentStore } from "../../../src/content/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { BlobServer, BlobSwarm, HttpBlobTransport, SwarmServer, TransferTokens } from "../../../src/transfer/index.ts";
import { weighBuffersWithHeap } from "../../../src/util/process/index.ts";
import { resumingRead } from "../../../src/worker-agent/layers/resuming-read.ts";
import { incompressible } from "./incompressible.ts";
import { programBytes } from "./program-bytes.ts";
import type { PeerAnswer, PeerRequest } from "./swarm-peer.ts";

const [directory = "", address = ""] = process.argv.slice(2);
weighBuffersWithHeap();
const logger = silentLogger;
const tokens = new TransferTokens(Buffer.alloc(32, "test"));
const content = await LocalContentStore.open(join(directory, "content"), { durable: false });
const transport = new HttpBlobTransport(tokens);
let url: string | undefined;
const swarm = await BlobSwarm.open({ directory: join(directory, "receiving"), transport, url: () => url, logger });
const server = new BlobServer({
  content,
  tokens,
  logger,
  packLayer: async () => {
    throw new BuildError(Code.NotFound, "no layers here");
  },
  swarm: new SwarmServer({ content, received: (digest) => swarm.received(digest) }),
});
url = `http://${address}:${await server.listen(address, 0)}`;

async function answer(request: PeerRequest): Promise<unknown> {
  const signal = AbortSignal.timeout(600_000);
  if (request.type === "make") {
    const bytes = request.content === "program" ? programBytes : incompressible;
    return content.write(bytes(request.size, request.seed));
  }
  const { blob, holders } = request;
  const sources = request.plain
    ? holders.map((holder) => ({
        name: holder,
        open: (offset: number, s: AbortSignal) => transport.readBlob(holder, blob.digest, offset, s),
      }))
    : [{ name: "swarm", open: (offset: number, s: AbortSignal) => swarm.read(blob, holders, offset, s) }];
  const start = performance.now();
  const cpu = process.cpuUsage();
  for await (const _ of resumingRead(blob, sources, signal));
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { seconds, cpuSeconds: (user + system) / 1e6 };
}

const send = (message: PeerAnswer) => void process.send?.(message);
process.on("message", (message: { readonly id: number; readonly request: PeerRequest }) => {
  answer(message.request).then(
    (value) => send({ id: message.id, value }),
    (error: unknown) => send({ id: message.id, error: String(error) }),
  );
});
process.once("disconnect", () => process.exit());
send({ id: 0, value: url });
