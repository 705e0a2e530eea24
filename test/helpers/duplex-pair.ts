import type { Duplex } from "../../src/filesync/index.ts";
import { AsyncQueue } from "../../src/util/async-queue.ts";

/** Two ends of a call in memory: `client` opened it, `server` ends it with `end`. */
export function duplexPair(): { readonly client: Duplex; readonly server: Duplex & { end(error?: Error): void } } {
  const toServer = new AsyncQueue<Uint8Array>(32);
  const toClient = new AsyncQueue<Uint8Array>(32);
  return {
    client: {
      send: async (message) => void (await toServer.push(message)),
      messages: toClient,
      closeSend: () => toServer.end(),
    },
    server: {
      send: async (message) => void (await toClient.push(message)),
      messages: toServer,
      end: (error) => (error === undefined ? toClient.end() : toClient.fail(error)),
    },
  };
}
