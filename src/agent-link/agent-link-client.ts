import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  credentials,
  type ServiceError,
} from "@grpc/grpc-js";
import { BuildError, type WireError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { SessionCaller, SessionCallOptions, SessionGroup, SessionStream } from "../core/seams/session-caller.ts";
import type { TaskChannels } from "../core/seams/task-channel.ts";
import { decode, encode } from "../util/msgpack.ts";
import type { MutualTls } from "../util/mutual-tls.ts";
import {
  agentLinkService,
  type CallHeader,
  type ChannelHeader,
  errorTrailer,
  flowControlWindowBytes,
  maxMessageBytes,
  type SessionDescription,
} from "./protocol.ts";

/** The agent's side of AgentLink: one channel per coordinator, kept until disposed. */
export class AgentLinkClient implements Disposable {
  readonly #clients = new Map<string, Client>();
  readonly #credentials: ChannelCredentials;

  /** @param options.tls the coordinator's certificate must be of its CA and for the host that is dialled; default plain */
  constructor({ tls }: { readonly tls?: MutualTls } = {}) {
    this.#credentials =
      tls === undefined
        ? credentials.createInsecure()
        : credentials.createSsl(tls.ca, tls.key, tls.cert, { rejectUnauthorized: true });
  }

  /** Sessions of one task, as its coordinator lets the token reach them. */
  group(coordinator: string, token: string, ids: readonly string[]): SessionGroup {
    return new LinkedSessionGroup(this.#client(coordinator), token, ids);
  }

  /** Channels of one task. */
  channels(coordinator: string, token: string): TaskChannels {
    const client = this.#client(coordinator);
    return {
      open: (name, { signal }) => openLink(client, agentLinkService.channel, { token, name }, signal),
    };
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  #client(address: string): Client {
    let client = this.#clients.get(address);
    if (client === undefined) {
      client = new Client(address, this.#credentials, {
        "grpc.max_receive_message_length": maxMessageBytes,
        "grpc.max_send_message_length": maxMessageBytes,
        "grpc-node.flow_control_window": flowControlWindowBytes,
        "grpc.keepalive_time_ms": 10_000,
        "grpc.keepalive_timeout_ms": 10_000,
      });
      this.#clients.set(address, client);
    }
    return client;
  }
}

class LinkedSessionGroup implements SessionGroup {
  readonly ids: readonly string[];
  readonly #client: Client;
  readonly #token: string;
  readonly #callers = new Map<string, Promise<SessionCaller>>();

  constructor(client: Client, token: string, ids: readonly string[]) {
    this.#client = client;
    this.#token = token;
    this.ids = ids;
  }

  async get(id: string, options: { readonly signal?: AbortSignal } = {}): Promise<SessionCaller> {
    let caller = this.#callers.get(id);
    if (caller === undefined) {
      caller = this.#describe(id, options.signal);
      this.#callers.set(id, caller);
      caller.catch(() => this.#callers.delete(id));
    }
    return caller;
  }

  async any<T>(
    use: (caller: SessionCaller) => Promise<T>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<T> {
    let failure: unknown = new BuildError(Code.NotFound, "no active sessions");
    for (const id of this.ids) {
      try {
        return await use(await this.get(id, options));
      } catch (error) {
        options.signal?.throwIfAborted();
        failure = error;
      }
    }
    throw failure;
  }

  async #describe(id: string, signal: AbortSignal | undefined): Promise<SessionCaller> {
    await using stream = openLink(
      this.#client,
      agentLinkService.call,
      { token: this.#token, sessionId: id, method: "", metadata: {} },
      signal,
    );
    stream.closeSend();
    for await (const message of stream.messages) {
      return new LinkedSessionCaller(this.#client, this.#token, id, decode<SessionDescription>(message));
    }
    throw new BuildError(Code.Unavailable, `coordinator did not describe session ${id}`);
  }
}

class LinkedSessionCaller implements SessionCaller {
  readonly id: string;
  readonly sharedKey: string;
  readonly #client: Client;
  readonly #token: string;
  readonly #methods: ReadonlySet<string>;

  constructor(client: Client, token: string, id: string, description: SessionDescription) {
    this.#client = client;
    this.#token = token;
    this.id = id;
    this.sharedKey = description.sharedKey;
    this.#methods = new Set(description.methods.map((method) => method.toLowerCase()));
  }

  supports(method: string): boolean {
    return this.#methods.has(method.toLowerCase());
  }

  open(method: string, options: SessionCallOptions = {}): SessionStream {
    const header = { token: this.#token, sessionId: this.id, method, metadata: options.metadata ?? {} };
    return openLink(this.#client, agentLinkService.call, header, options.signal);
  }
}

function openLink(
  client: Client,
  method: (typeof agentLinkService)["call" | "channel"],
  header: CallHeader | ChannelHeader,
  signal: AbortSignal | undefined,
): SessionStream {
  signal?.throwIfAborted();
  const { path, requestSerialize, responseDeserialize } = method;
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  // Errors surface where messages are read; a listener keeps Node from treating them as unhandled.
  call.on("error", () => {});
  call.write(encode(header));
  return new LinkStream(call, signal);
}

class LinkStream implements SessionStream {
  readonly #call: ClientDuplexStream<Uint8Array, Uint8Array>;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  #reason: unknown;

  constructor(call: ClientDuplexStream<Uint8Array, Uint8Array>, signal: AbortSignal | undefined) {
    this.#call = call;
    this.#signal = signal;
    this.#onAbort = () => {
      this.#reason = signal?.reason;
      call.cancel();
    };
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    call.once("close", () => signal?.removeEventListener("abort", this.#onAbort));
  }

  async send(message: Uint8Array): Promise<void> {
    const call = this.#call;
    if (call.destroyed || call.writableEnded) throw new BuildError(Code.Unavailable, "session call has ended");
    if (call.write(message)) return;
    await new Promise<void>((resolve, reject) => {
      const settle = () => {
        call.off("drain", settle);
        call.off("close", settle);
        if (call.destroyed) reject(new BuildError(Code.Unavailable, "session call has ended"));
        else resolve();
      };
      call.on("drain", settle);
      call.on("close", settle);
    });
  }

  closeSend(): void {
    if (!this.#call.writableEnded) this.#call.end();
  }

  get messages(): AsyncIterable<Uint8Array> {
    return this.#read();
  }

  cancel(reason?: Error): void {
    this.#reason ??= reason;
    this.#call.cancel();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#call.cancel();
  }

  async *#read(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for await (const message of this.#call) yield message as Uint8Array;
    } catch (error) {
      throw this.#reason ?? errorFromLink(error as ServiceError);
    }
  }
}

/** The peer's own error when the trailer brings one; a broken link is an infrastructure fault. */
function errorFromLink(error: ServiceError): BuildError {
  const [wire] = error.metadata?.get(errorTrailer) ?? [];
  if (wire !== undefined && typeof wire !== "string") return BuildError.fromWire(decode<WireError>(wire));
  const code = (error.code ?? Code.Unavailable) as Code;
  return new BuildError(code, `agent link: ${error.details ?? error.message}`, {
    cause: error,
    infrastructure: code === Code.Unavailable,
  });
}
