import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { BridgeForwarder } from "./bridge-forwarder.ts";
import type { ActiveBuild } from "./build-service.ts";

/** How long a bridge call waits for its build (BuildKit util/registrar). */
const bridgeWaitMs = 3000;
/** How long a progress reader waits for its build, and for how long an ended build still serves one (BuildKit solver/jobs.go). */
const statusWaitMs = 6000;
const lateReaderMs = 10_000;

/** What progress readers need of a build. */
export type BuildProgress = Pick<ActiveBuild, "progress">;

interface Entry {
  build: BuildProgress | undefined;
  bridge: BridgeForwarder | undefined;
  /** Why it never became a build; the ref is free again. */
  refusal: BuildError | undefined;
}

/**
 * Progress of a request that was refused. A reader gets a clean end instead of "no such job": clients wait for their progress
 * stream and then show why Solve failed, and BuildKit's make the user wait for five seconds here.
 */
const nothing: BuildProgress = { progress: async function* () {} };

/**
 * The builds of this front door by ref. A client sends Solve, Status, Session and its first bridge calls at the same time and
 * they arrive in any order, so look-ups wait a little.
 */
export class BuildRegistry {
  readonly #clock: Clock;
  readonly #stopped: AbortSignal;
  readonly #entries = new Map<string, Entry>();
  readonly #waiters = new Set<() => void>();

  /** @param stopped aborts when nobody will ask any more */
  constructor(clock: Clock, stopped: AbortSignal) {
    this.#clock = clock;
    this.#stopped = stopped;
  }

  /** Takes a ref before its build exists. @throws BuildError `job ID <ref> exists` */
  reserve(ref: string): BuildReservation {
    if (this.#entries.has(ref) && this.#entries.get(ref)?.refusal === undefined)
      throw new BuildError(Code.Unknown, `job ID ${ref} exists`);
    const entry: Entry = { build: undefined, bridge: undefined, refusal: undefined };
    this.#entries.set(ref, entry);
    return {
      started: (build, bridge) => {
        entry.build = build;
        entry.bridge = bridge;
        this.#wake();
      },
      refused: (error) => {
        entry.refusal = error;
        entry.build = nothing;
        this.#wake();
      },
      ended: () => {
        entry.bridge = undefined;
        const forget = () => {
          if (this.#entries.get(ref) === entry) this.#entries.delete(ref);
        };
        void this.#clock.sleep(lateReaderMs, this.#stopped).then(forget, forget);
      },
    };
  }

  /** A build that runs or has just ended, without waiting. */
  find(ref: string): BuildProgress | undefined {
    return this.#entries.get(ref)?.build;
  }

  /** @throws BuildError NotFound `no such job <ref>` when none has come in time */
  build(ref: string, signal: AbortSignal): Promise<BuildProgress> {
    return this.#wait(ref, (entry) => entry.build, statusWaitMs, signal);
  }

  /**
   * The bridge of a client-driven build that still runs.
   * @throws BuildError NotFound `no such job <ref>`, or what Solve was refused with: a client may show either
   */
  bridge(ref: string, signal: AbortSignal): Promise<BridgeForwarder> {
    const pick = (entry: Entry) => {
      if (entry.refusal !== undefined) throw entry.refusal;
      return entry.bridge;
    };
    return this.#wait(ref, pick, bridgeWaitMs, signal);
  }

  async #wait<T>(
    ref: string,
    pick: (entry: Entry) => T | undefined,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<T> {
    const look = (): T | undefined => {
      const entry = this.#entries.get(ref);
      return entry === undefined ? undefined : pick(entry);
    };
    const known = look();
    if (known !== undefined) return known;
    const over = new AbortController();
    const stop = AbortSignal.any([signal, over.signal]);
    const timeout = this.#clock.sleep(timeoutMs, stop).then(
      () => true,
      () => true,
    );
    try {
      for (let timedOut = false; !timedOut; ) {
        timedOut = await Promise.race([this.#change(stop), timeout]);
        const found = look();
        if (found !== undefined) return found;
        signal.throwIfAborted();
      }
    } finally {
      over.abort();
    }
    throw new BuildError(Code.NotFound, `no such job ${ref}`);
  }

  #change(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiters.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve(false);
      };
      this.#waiters.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }

  #wake(): void {
    for (const wake of [...this.#waiters]) wake();
  }
}

/** One ref taken in the registry: either `started` or `refused`, then `ended`, on every path. */
export interface BuildReservation {
  refused(error: BuildError): void;
  /** @param bridge for client-driven builds */
  started(build: ActiveBuild, bridge: BridgeForwarder | undefined): void;
  ended(): void;
}
