import type { SessionCaller } from "../core/seams/session-caller.ts";

/** Tells which sessions a token opens. Implemented by the dispatcher: a token lives as long as its task. */
export interface SessionAccess {
  /**
   * @throws BuildError PermissionDenied when the token does not open the session; NotFound when the session is gone
   */
  open(token: string, sessionId: string, signal: AbortSignal): Promise<SessionCaller>;
}
