import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { SessionCaller, SessionGroup } from "../core/seams/session-caller.ts";
import type { SessionManager } from "./session-manager.ts";

/** The sessions of one build, looked up in this process (BuildKit session/group.go). */
export class ManagedSessionGroup implements SessionGroup {
  readonly ids: readonly string[];
  readonly #manager: SessionManager;

  /** @param ids in the order in which they are tried; empty ones are left out */
  constructor(manager: SessionManager, ids: readonly string[]) {
    this.#manager = manager;
    this.ids = [...new Set(ids)].filter((id) => id !== "");
  }

  get(id: string, options: { readonly signal?: AbortSignal } = {}): Promise<SessionCaller> {
    return this.#manager.get(id, options);
  }

  async any<T>(
    use: (caller: SessionCaller) => Promise<T>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<T> {
    let last: unknown;
    for (const id of this.ids) {
      options.signal?.throwIfAborted();
      try {
        return await use(await this.#manager.get(id, options));
      } catch (error) {
        last = error;
      }
    }
    throw last ?? new BuildError(Code.NotFound, "no active sessions");
  }
}
