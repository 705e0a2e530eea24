import { randomBytes } from "node:crypto";
import type { SessionAccess } from "../../agent-link/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { SessionCaller, SessionGroup } from "../../core/seams/session-caller.ts";

/** Tokens with which a task's agent may call the sessions of that task, and only those, while it runs. */
export class TaskSessions implements SessionAccess {
  readonly #groups = new Map<string, SessionGroup>();

  issue(group: SessionGroup): string {
    const token = randomBytes(24).toString("base64url");
    this.#groups.set(token, group);
    return token;
  }

  revoke(token: string): void {
    this.#groups.delete(token);
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
