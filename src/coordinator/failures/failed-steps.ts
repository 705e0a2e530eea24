import { findCause } from "../../core/errors/step-failed-error.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { LayerId } from "../../core/values/layer.ts";
import { SolveError } from "./solve-error.ts";

export interface FailedStepsOptions {
  readonly clock: Clock;
  /** How long what a failed step left is kept after its build; 0: not at all. */
  readonly keepMs: number;
  /** At most so many steps are kept; the longest unused goes first. */
  readonly maxSteps: number;
  /** Keeps agents from removing layers, until the answer is called. */
  readonly pin: (layers: readonly LayerId[]) => () => void;
  /** Lets agents remove layers at once. Never rejects. */
  readonly drop: (layers: readonly LayerId[]) => Promise<void>;
}

/** A build that failed, as long as some of its failed steps are kept. */
export interface FailedBuild {
  readonly ref: string;
  /** Unix milliseconds. */
  readonly endedAt: number;
  /** In the order in which they failed. */
  readonly steps: readonly SolveError[];
  readonly sessionIds: readonly string[];
  readonly entitlements: readonly string[];
}

interface Kept {
  readonly layers: readonly LayerId[];
  /** Builds and shells. */
  users: number;
  /** Aborts the wait for its end. */
  wait: AbortController;
}

/** How long a failure waits for the build that it is for: one that nobody is told of goes then. */
const unclaimedMs = 5000;

/**
 * Owns what failed steps leave (ADR-0013). While a build that was told of a failure runs, or a shell is open, nothing may remove it;
 * then it stays for a while as any other cache record does, which clean-up may take.
 */
export class FailedSteps implements Disposable {
  readonly #options: FailedStepsOptions;
  /** The longest unused first. */
  readonly #kept = new Map<SolveError, Kept>();
  readonly #builds = new Map<string, FailedBuild>();

  constructor(options: FailedStepsOptions) {
    this.#options = options;
  }

  get keepMs(): number {
    return this.#options.keepMs;
  }

  /** Failed builds with a step that is kept, oldest first. */
  get builds(): readonly FailedBuild[] {
    const builds = [...this.#builds.values()].map((build) => ({ ...build, steps: this.#stepsKept(build) }));
    return builds.filter(({ steps }) => steps.length > 0);
  }

  /** Takes over the layers of a failure that just happened. */
  note(failure: SolveError): void {
    const kept = { layers: failure.layers.map(({ id }) => id), users: 0, wait: new AbortController() };
    this.#kept.set(failure, kept);
    this.#expire(failure, kept, Math.max(unclaimedMs, this.#options.keepMs));
  }

  /** Keeps what a step left until disposed. @returns undefined when it is kept no more */
  use(failure: SolveError): Disposable | undefined {
    const kept = this.#kept.get(failure);
    if (kept === undefined) return undefined;
    kept.wait.abort();
    kept.users++;
    const unpin = this.#options.pin(kept.layers);
    let used = true;
    return {
      [Symbol.dispose]: () => {
        if (!used) return;
        used = false;
        unpin();
        kept.users--;
        if (kept.users > 0) return;
        // Now it is the youngest.
        this.#kept.delete(failure);
        this.#kept.set(failure, kept);
        this.#expire(failure, kept, this.#options.keepMs);
      },
    };
  }

  /** For one build: what it was told of. */
  ofBuild(build: Omit<FailedBuild, "steps" | "endedAt">): BuildFailures {
    return new BuildFailures(this, (steps) => {
      this.#builds.set(build.ref, { ...build, steps, endedAt: this.#options.clock.now() });
    });
  }

  /** Nothing is removed any more; what is left is for the clean-up. */
  [Symbol.dispose](): void {
    for (const { wait } of this.#kept.values()) wait.abort();
    this.#kept.clear();
  }

  #stepsKept({ steps }: FailedBuild): readonly SolveError[] {
    return steps.filter((step) => this.#kept.has(step));
  }

  #expire(failure: SolveError, kept: Kept, afterMs: number): void {
    kept.wait = new AbortController();
    const end = () => this.#end(failure, kept);
    if (afterMs <= 0) end();
    else this.#options.clock.sleep(afterMs, kept.wait.signal).then(end, () => {});
    if (this.#kept.size <= this.#options.maxSteps) return;
    const oldest = [...this.#kept].find(([other, { users }]) => users === 0 && other !== failure);
    if (oldest !== undefined) this.#end(...oldest);
  }

  #end(failure: SolveError, kept: Kept): void {
    kept.wait.abort();
    if (!this.#kept.delete(failure)) return;
    for (const [ref, build] of this.#builds) if (this.#stepsKept(build).length === 0) this.#builds.delete(ref);
    if (kept.layers.length > 0) void this.#options.drop(kept.layers);
  }
}

/** The failed steps of one build. */
export class BuildFailures {
  readonly #all: FailedSteps;
  readonly #onFailed: (steps: readonly SolveError[]) => void;
  readonly #uses = new Map<SolveError, Disposable>();
  #ended = false;

  constructor(all: FailedSteps, onFailed: (steps: readonly SolveError[]) => void) {
    this.#all = all;
    this.#onFailed = onFailed;
  }

  /** The build is told of an error: what the step left, if it is of one, stays until `end` and a while longer. */
  add(error: unknown): void {
    const failure = findCause(error, SolveError);
    if (failure === undefined || this.#ended || this.#uses.has(failure)) return;
    const use = this.#all.use(failure);
    if (use !== undefined) this.#uses.set(failure, use);
  }

  end(failed: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    if (failed && this.#uses.size > 0) this.#onFailed([...this.#uses.keys()]);
    for (const use of this.#uses.values()) use[Symbol.dispose]();
    this.#uses.clear();
  }
}
