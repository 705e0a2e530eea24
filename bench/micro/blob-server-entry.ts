/** Serves a content store over HTTP as an agent does, and one file of it to whoever connects to a bare TCP port. */
import { createReadStream } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { LocalContentStore } from "../../src/content/index.ts";
import { silentLogger } from "../../src/core/seams/logger.ts";
import { BlobServer, SwarmServer, TransferTokens } from "../../src/transfer/index.ts";
import { weighBuffersWithHeap } from "../../src/util/process/index.ts";
import { blobServerKey } from "./blob-server-key.ts";

const [directory = "", file = ""] = process.argv.slice(2);
weighBuffersWithHeap();
const content = await LocalContentStore.open(directory);
const server = new BlobServer({
  content,
  swarm: new SwarmServer({ content, received: () => undefined }),
  packLayer: async () => {
    throw new Error("no layers here");
  },
  tokens: new TransferTokens(blobServerKey),
  logger: silentLogger,
});
const httpPort = await server.listen("127.0.0.1", 0);
const bare = createServer((socket) => createReadStream(file, { highWaterMark: 1 << 20 }).pipe(socket));
await new Promise<void>((resolve) => bare.listen(0, "127.0.0.1", resolve));
process.stdout.write(`${JSON.stringify({ httpPort, tcpPort: (bare.address() as AddressInfo).port })}\n`);
