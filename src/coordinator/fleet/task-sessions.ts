import { randomBytes } from "node:crypto";
import type { ChannelAccess, SessionAccess } from "../../agent-link/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { SessionCaller, SessionGroup } from "../../core/seams/session-caller.ts";
import type { ChannelHandler, TaskChannel } from "../../core/seams/task-channel.ts";

/** Tokens with which a task's agent may use the sessions and channels of that task, and only those, while it runs. */
export class TaskSessions implements SessionAccess, ChannelAccess {
  readonly #groups = new Map<string, SessionGroup>();
  readonly #channels = new Map<string, ChannelHandler>();

  /** @param onChannel serves the channels which the task opens */
  issue(group: SessionGroup, onChannel?: ChannelHandler): string {
    const token = randomBytes(24).toString("base64url");
    this.#groups.set(token, group);
    if (onChannel !== undefined) this.#channels.set(token, onChannel);
    return token;
  }

  revoke(token: string): void {
    this.#groups.delete(token);
    this.#channels.delete(token);
  }

  async serve(token: string, name: string, channel: TaskChannel, signal: AbortSignal): Promise<void> {
    const handler = this.#channels.get(token);
    if (handler === undefined) throw new BuildError(Code.PermissionDenied, "token opens no channel");
    await handler(name, channel, signal);
  }

  async open(token: string, sessionId: string, signal: AbortSignal): Promise<SessionCaller> {
    return this.group(token).get(sessionId, { signal });
  }

  /** @throws BuildError PermissionDenied for a token of no running task */
  group(token: string): SessionGroup {
    const group = this.#groups.get(token);
    if (group === undefined) throw new BuildError(Code.PermissionDenied, "token opens no session: its task has ended");
    return group;
  }
}
