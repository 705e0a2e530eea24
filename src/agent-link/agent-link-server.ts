import { Metadata, Server, ServerCredentials, type ServerDuplexStream, type StatusObject } from "@grpc/grpc-js";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { Logger } from "../core/seams/logger.ts";
import { AsyncQueue } from "../util/async-queue.ts";
import { decode, encode } from "../util/msgpack.ts";
import type { MutualTls } from "../util/mutual-tls.ts";
import {
  agentLinkService,
  type CallHeader,
  type ChannelHeader,
  errorTrailer,
  maxMessageBytes,
  type SessionDescription,
  sessionMethods,
} from "./protocol.ts";
import type { ChannelAccess, SessionAccess } from "./session-access.ts";

type Call = ServerDuplexStream<Uint8Array, Uint8Array>;

export interface AgentLinkServerOptions {
  readonly access: SessionAccess;
  readonly channels?: ChannelAccess;
  readonly logger: Logger;
  /** Agents without a certificate of its CA are not let in; default plain. */
  readonly tls?: MutualTls;
}

/** The coordinator's side of AgentLink. */
export class AgentLinkServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #options: AgentLinkServerOptions;

  constructor(options: AgentLinkServerOptions) {
    this.#options = options;
    this.#server = new Server({
      "grpc.max_receive_message_length": maxMessageBytes,
      "grpc.max_send_message_length": maxMessageBytes,
    });
    this.#server.addService(agentLinkService, {
      call: (call: Call) => void this.#serve(call, (signal) => this.#relay(call, signal)),
      channel: (call: Call) => void this.#serve(call, (signal) => this.#channel(call, signal)),
    });
  }

  /** @param address `host:port`; port 0 takes a free one. @returns the port */
  async listen(address: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, credentialsOf(this.#options.tls), (error, port) => {
        if (error === null) resolve(port);
        else reject(new BuildError(Code.Unavailable, `cannot listen for agents on ${address}: ${error.message}`));
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
  }

  async #serve(call: Call, body: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const abort = new AbortController();
    let ended = false;
    call.on("cancelled", () => {
      if (!ended) abort.abort(new BuildError(Code.Canceled, "agent ended the call"));
    });
    call.on("error", () => abort.abort(new BuildError(Code.Canceled, "agent link broke")));
    try {
      await body(abort.signal);
      ended = true;
      call.end();
    } catch (error) {
      ended = true;
      const failure = BuildError.from(error);
      this.#options.logger.debug("agent link call failed", { error: failure.message });
      const metadata = new Metadata();
      metadata.set(errorTrailer, Buffer.from(encode(failure.toWire())));
      const status: Partial<StatusObject> = { code: failure.code, details: failure.message, metadata };
      call.emit("error", status);
    }
  }

  async #channel(call: Call, signal: AbortSignal): Promise<void> {
    const { channels } = this.#options;
    if (channels === undefined) throw new BuildError(Code.Unimplemented, "tasks have no channels here");
    const requests = requestsOf(call)[Symbol.asyncIterator]();
    const first = await requests.next();
    if (first.done === true) throw new BuildError(Code.InvalidArgument, "agent link channel without header");
    const { token, name } = decode<ChannelHeader>(first.value);
    const send = async (message: Uint8Array) => {
      signal.throwIfAborted();
      if (!call.write(message)) await drained(call, signal);
    };
    await channels.serve(token, name, { send, messages: { [Symbol.asyncIterator]: () => requests } }, signal);
  }

  async #relay(call: Call, signal: AbortSignal): Promise<void> {
    const requests = requestsOf(call)[Symbol.asyncIterator]();
    const first = await requests.next();
    if (first.done === true) throw new BuildError(Code.InvalidArgument, "agent link call without header");
    const header = decode<CallHeader>(first.value);
    const session = await this.#options.access.open(header.token, header.sessionId, signal);
    if (header.method === "") {
      const description: SessionDescription = {
        sharedKey: session.sharedKey,
        methods: sessionMethods.filter((method) => session.supports(method)),
      };
      call.write(encode(description));
      return;
    }
    await using stream = session.open(header.method, { metadata: header.metadata, signal });
    const upstream = (async () => {
      for (let next = await requests.next(); next.done !== true; next = await requests.next()) {
        await stream.send(next.value);
      }
      stream.closeSend();
    })();
    // The session's status is what counts; a send into a call that has ended is no error of its own.
    upstream.catch(() => {});
    for await (const message of stream.messages) {
      if (!call.write(message)) await drained(call, signal);
    }
  }
}

function credentialsOf(tls: MutualTls | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  return ServerCredentials.createSsl(tls.ca, [{ cert_chain: tls.cert, private_key: tls.key }], true);
}

/** Not the stream's own iterator: that one destroys the call on `error`, which grpc-js uses to send a status. */
function requestsOf(call: Call): AsyncIterable<Uint8Array> {
  const queue = new AsyncQueue<Uint8Array>(8);
  call.on("data", (message: Uint8Array) => {
    queue.offer(message);
    if (queue.size < 8) return;
    call.pause();
    queue.whenRoom().then(() => call.resume());
  });
  call.on("end", () => queue.end());
  call.on("cancelled", () => queue.end());
  return queue;
}

async function drained(call: Call, signal: AbortSignal): Promise<void> {
  // A call that has ended never drains.
  signal.throwIfAborted();
  if (!call.writableNeedDrain) return;
  await new Promise<void>((resolve, reject) => {
    const done = () => {
      call.off("drain", done);
      signal.removeEventListener("abort", done);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    };
    call.on("drain", done);
    signal.addEventListener("abort", done);
  });
}
