import type { SessionCaller } from "../core/seams/session-caller.ts";
import type { TaskChannel } from "../core/seams/task-channel.ts";

/** Tells which sessions a token opens. Implemented by the dispatcher: a token lives as long as its task. */
export interface SessionAccess {
  /**
   * @throws BuildError PermissionDenied when the token does not open the session; NotFound when the session is gone
   */
  open(token: string, sessionId: string, signal: AbortSignal): Promise<SessionCaller>;
}

/** Serves the channels of tasks. Implemented by the dispatcher, as above. */
export interface ChannelAccess {
  /**
   * Resolves when the channel's server has said all.
   * @throws BuildError PermissionDenied when the token opens no channel
   */
  serve(token: string, name: string, channel: TaskChannel, signal: AbortSignal): Promise<void>;
}
