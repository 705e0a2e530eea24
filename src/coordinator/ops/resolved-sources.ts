import type { SourceOp } from "../../api/gen/ops.ts";
import type { ResolvedSource } from "../../core/values/task.ts";

/**
 * What git and http sources turned out to be, for as long as a build runs: what its frontend was told of a source is what its
 * steps then get, though the branch has moved meanwhile (BuildKit keeps it with the job: source/git, source/http). Builds are
 * told apart by their sessions; builds without one share nothing.
 */
export class ResolvedSources {
  readonly #bySession = new Map<string, Map<string, ResolvedSource>>();

  find(sessionIds: readonly string[], source: SourceOp): ResolvedSource | undefined {
    const key = originKey(source);
    for (const id of sessionIds) {
      const found = this.#bySession.get(id)?.get(key);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  remember(sessionIds: readonly string[], source: SourceOp, resolved: ResolvedSource): void {
    for (const id of sessionIds) {
      let known = this.#bySession.get(id);
      if (known === undefined) {
        known = new Map();
        this.#bySession.set(id, known);
      }
      known.set(originKey(source), resolved);
    }
  }

  /** The build of a session is over. */
  forget(sessionId: string): void {
    this.#bySession.delete(sessionId);
  }
}

/** What decides about the answer of the origin. How the files are laid out afterwards (`http.uid`, `git.keepgitdir`) does not. */
function originKey({ identifier, attrs }: SourceOp): string {
  const asked = Object.entries(attrs).filter(([name]) =>
    /^(git\.(fullurl|checksum|bundle)$|http\.(authheadersecret$|header\.))/.test(name),
  );
  return JSON.stringify([identifier, asked.sort()]);
}
