import { BuildError } from "../../src/core/errors/build-error.ts";
import { Code } from "../../src/core/errors/code.ts";
import type {
  SessionCaller,
  SessionCallOptions,
  SessionGroup,
  SessionStream,
} from "../../src/core/seams/session-caller.ts";
import { AsyncQueue } from "../../src/util/async-queue.ts";

/** Serves one method of a fake client: reads requests, yields answers, throws BuildErrors. */
export type FakeMethod = (
  requests: AsyncIterable<Uint8Array>,
  metadata: Readonly<Record<string, readonly string[]>>,
  signal: AbortSignal,
) => AsyncIterable<Uint8Array>;

/** A client session without a client: methods by full name. */
export class FakeSession implements SessionCaller {
  readonly id: string;
  readonly sharedKey: string;
  readonly #methods: Readonly<Record<string, FakeMethod>>;

  constructor(id: string, methods: Readonly<Record<string, FakeMethod>>, sharedKey = "") {
    this.id = id;
    this.sharedKey = sharedKey;
    this.#methods = methods;
  }

  get methods(): readonly string[] {
    return Object.keys(this.#methods);
  }

  supports(method: string): boolean {
    return this.methods.some((name) => name.toLowerCase() === method.toLowerCase());
  }

  open(method: string, options: SessionCallOptions = {}): SessionStream {
    const serve = this.#methods[method];
    const requests = new AsyncQueue<Uint8Array>();
    const abort = new AbortController();
    const signal = options.signal === undefined ? abort.signal : AbortSignal.any([options.signal, abort.signal]);
    async function* messages() {
      if (serve === undefined) throw new BuildError(Code.Unimplemented, `unknown method ${method}`);
      yield* serve(requests, options.metadata ?? {}, signal);
    }
    return {
      send: async (message) => void (await requests.push(message)),
      closeSend: () => requests.end(),
      messages: messages(),
      cancel: (reason) => {
        requests.end();
        abort.abort(reason);
      },
      [Symbol.asyncDispose]: async () => {
        requests.end();
        abort.abort();
      },
    };
  }
}

/** A group of exactly these sessions. */
export class FakeSessionGroup implements SessionGroup {
  readonly #sessions: readonly SessionCaller[];

  constructor(...sessions: readonly SessionCaller[]) {
    this.#sessions = sessions;
  }

  get ids(): readonly string[] {
    return this.#sessions.map((session) => session.id);
  }

  async get(id: string): Promise<SessionCaller> {
    const session = this.#sessions.find((candidate) => candidate.id === id);
    if (session === undefined) throw new BuildError(Code.NotFound, `no active session for ${id}`);
    return session;
  }

  async any<T>(use: (caller: SessionCaller) => Promise<T>): Promise<T> {
    let failure: unknown = new BuildError(Code.NotFound, "no active sessions");
    for (const session of this.#sessions) {
      try {
        return await use(session);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }
}
