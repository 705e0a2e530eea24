import { randomBytes } from "node:crypto";
import type { ChannelAccess, SessionAccess } from "../../agent-link/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { SessionCaller, SessionGroup } from "../../core/seams/session-caller.ts";
import type { ChannelHandler, TaskChannel } from "../../core/seams/task-channel.ts";

/** Tokens with which a task's agent may use the sessions and channels of that task, and only those, while it runs. */
export class TaskSessions implements SessionAccess, ChannelAccess {
  readonly #grants = new Map<string, Grant>();

  /**
   * @param isNamed tells sessions which the task was told of, besides those of the group
   * @param onChannel serves the channels which the task opens
   */
  issue(group: SessionGroup, isNamed: (id: string) => boolean, onChannel?: ChannelHandler): string {
    const token = randomBytes(24).toString("base64url");
    this.#grants.set(token, { group, isNamed, onChannel });
    return token;
  }

  revoke(token: string): void {
    this.#grants.delete(token);
  }

  async serve(token: string, name: string, channel: TaskChannel, signal: AbortSignal): Promise<void> {
    const handler = this.#grants.get(token)?.onChannel;
    if (handler === undefined) throw new BuildError(Code.PermissionDenied, "token opens no channel");
    await handler(name, channel, signal);
  }

  async open(token: string, sessionId: string, signal: AbortSignal): Promise<SessionCaller> {
    const { group, isNamed } = this.#grant(token);
    if (!group.ids.includes(sessionId) && !isNamed(sessionId)) {
      throw new BuildError(Code.PermissionDenied, `token does not open session ${sessionId}`);
    }
    return group.get(sessionId, { signal });
  }

  /** @throws BuildError PermissionDenied for a token of no running task */
  group(token: string): SessionGroup {
    return this.#grant(token).group;
  }

  #grant(token: string): Grant {
    const grant = this.#grants.get(token);
    if (grant === undefined) throw new BuildError(Code.PermissionDenied, "token opens no session: its task has ended");
    return grant;
  }
}

interface Grant {
  readonly group: SessionGroup;
  readonly isNamed: (id: string) => boolean;
  readonly onChannel: ChannelHandler | undefined;
}
