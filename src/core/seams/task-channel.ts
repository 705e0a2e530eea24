import type { SessionStream } from "./session-caller.ts";

/**
 * The coordinator's end of a stream of messages with a running task. The task's agent opens it by name, through AgentLink or
 * in process; what must not go over the bus goes here: the bytes of interactive processes. Sending waits for the other end.
 */
export interface TaskChannel {
  /** @throws BuildError when the channel has ended */
  send(message: Uint8Array): Promise<void>;
  /** Ends when the agent has said all. Iterate once. */
  readonly messages: AsyncIterable<Uint8Array>;
}

/** Serves the channels which a task opens. A channel ends when the promise settles; a rejection is told to the agent. */
export type ChannelHandler = (name: string, channel: TaskChannel, signal: AbortSignal) => Promise<void>;

/** The agent's side: opens a channel of a task that runs there. */
export interface TaskChannels {
  open(name: string, options: { readonly signal: AbortSignal }): SessionStream;
}
