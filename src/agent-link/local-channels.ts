import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { SessionStream } from "../core/seams/session-caller.ts";
import type { TaskChannels } from "../core/seams/task-channel.ts";
import { AsyncQueue } from "../util/async-queue.ts";
import type { ChannelAccess } from "./session-access.ts";

/** Messages held in each direction before a sender waits. */
const queueLength = 4;

/** Channels of one task whose agent is in the coordinator's process. */
export class LocalChannels implements TaskChannels {
  readonly #access: ChannelAccess;
  readonly #token: string;

  constructor(access: ChannelAccess, token: string) {
    this.#access = access;
    this.#token = token;
  }

  open(name: string, { signal }: { readonly signal: AbortSignal }): SessionStream {
    signal.throwIfAborted();
    const abort = new AbortController();
    const toServer = new AsyncQueue<Uint8Array>(queueLength);
    const toAgent = new AsyncQueue<Uint8Array>(queueLength);
    const close = (reason: unknown) => {
      signal.removeEventListener("abort", onAbort);
      abort.abort(new BuildError(Code.Canceled, "agent ended the call"));
      toServer.end();
      toAgent.fail(reason);
    };
    const onAbort = () => close(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const channel = {
      send: async (message: Uint8Array) => {
        if (!(await toAgent.push(message))) throw new BuildError(Code.Canceled, "agent ended the call");
      },
      messages: toServer,
    };
    this.#access.serve(this.#token, name, channel, abort.signal).then(
      () => {
        signal.removeEventListener("abort", onAbort);
        toAgent.end();
        toServer.end();
      },
      (error: unknown) => close(error),
    );
    return {
      send: async (message) => {
        if (!(await toServer.push(message))) throw new BuildError(Code.Unavailable, "channel has ended");
      },
      closeSend: () => toServer.end(),
      messages: toAgent,
      cancel: (reason) => close(reason ?? new BuildError(Code.Canceled, "context canceled")),
      [Symbol.asyncDispose]: async () => close(new BuildError(Code.Canceled, "context canceled")),
    };
  }
}
