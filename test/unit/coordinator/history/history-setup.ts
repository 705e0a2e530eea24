import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type BuildHistoryEvent, BuildHistoryEventType } from "../../../../src/api/gen/control.ts";
import { MemoryKeyValueStore, MemoryMessageBus } from "../../../../src/bus/index.ts";
import { LocalContentStore } from "../../../../src/content/index.ts";
import type { HistoryQuery } from "../../../../src/coordinator/front-door/index.ts";
import { FleetHistory, type FleetHistoryOptions } from "../../../../src/coordinator/history/index.ts";
import type { Clock } from "../../../../src/core/seams/clock.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import type { SolveProgress } from "../../../../src/core/values/solve-progress.ts";

/** Time that only the test moves; sleepers wake when `advance` has passed their time. */
export class TestClock implements Clock {
  #now = Date.parse("2026-01-02T03:04:05Z");
  readonly #sleepers = new Set<{ readonly until: number; readonly wake: () => void }>();
  #asleep = Promise.withResolvers<void>();

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { until: this.#now + ms, wake: resolve };
      this.#sleepers.add(sleeper);
      this.#asleep.resolve();
      signal?.addEventListener("abort", () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason);
      });
    });
  }

  advance(ms: number): void {
    this.#now += ms;
    for (const sleeper of [...this.#sleepers]) {
      if (sleeper.until > this.#now) continue;
      this.#sleepers.delete(sleeper);
      this.#asleep = Promise.withResolvers();
      sleeper.wake();
    }
  }

  /** Resolves once who was woken sleeps again. */
  async asleep(): Promise<void> {
    await this.#asleep.promise;
  }
}

/** What coordinators of a fleet share. */
export class HistoryFleet {
  readonly keyValues = new MemoryKeyValueStore();
  readonly bus = new MemoryMessageBus();
  readonly clock = new TestClock();

  /** A coordinator's history; `directory` to open that of an earlier one again. */
  async open(
    t: TestContext,
    options: Partial<FleetHistoryOptions> & { readonly coordinatorId: string; readonly directory?: string },
  ): Promise<{ readonly history: FleetHistory; readonly directory: string; readonly store: LocalContentStore }> {
    const directory = options.directory ?? (await mkdtemp(join(tmpdir(), "history-")));
    t.after(() => rm(directory, { recursive: true, force: true }));
    const store = await LocalContentStore.open(directory);
    const history = await FleetHistory.open({
      keyValues: this.keyValues,
      store,
      bus: this.bus,
      clock: this.clock,
      logger: silentLogger,
      ...options,
    });
    t.after(() => history[Symbol.asyncDispose]());
    return { history, directory, store };
  }
}

export const digestA = `sha256:${"a".repeat(64)}`;
export const digestB = `sha256:${"b".repeat(64)}`;

/** Two steps, one of them cached, a warning, and a log of so many bytes. */
export async function* progressOf(logBytes: number): AsyncGenerator<SolveProgress, void, undefined> {
  yield {
    vertexes: [
      { digest: digestA, inputs: [], name: "one", cached: true, error: "", startedAt: 1000, completedAt: 1500.25 },
      { digest: digestB, inputs: [digestA], name: "two", cached: false, error: "", startedAt: 1500 },
    ],
    statuses: [{ vertex: digestB, id: "get", name: "", current: 3, total: 4, timestamp: 1600, startedAt: 1550 }],
    logs: [],
    warnings: [{ vertex: digestB, level: 1, short: "careful", detail: ["of", "that"], url: "", ranges: [] }],
  };
  for (let left = logBytes; left > 0; left -= 64 << 10) {
    const data = new Uint8Array(Math.min(left, 64 << 10)).fill(0x61);
    yield { vertexes: [], statuses: [], logs: [{ vertex: digestB, stream: 2, data, timestamp: 1700 }], warnings: [] };
  }
  yield {
    vertexes: [
      { digest: digestB, inputs: [digestA], name: "two", cached: false, error: "", startedAt: 1500, completedAt: 2000 },
    ],
    statuses: [],
    logs: [],
    warnings: [],
  };
}

export function build(ref: string, frontendOpt: Record<string, string> = {}) {
  return { ref, frontend: "dockerfile.v0", frontendOpt, exporters: [{ type: "oci", attrs: { name: "x" } }] };
}

/** What is listed now, e.g. `STARTED a`. */
export async function listed(history: FleetHistory, query: Partial<HistoryQuery> = {}): Promise<string[]> {
  const seen: string[] = [];
  for await (const event of history.listen({ ...everything, earlyExit: true, ...query }, new AbortController().signal))
    seen.push(eventText(event));
  return seen;
}

export async function collect<T>(items: AsyncIterable<T> | undefined): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items ?? []) all.push(item);
  return all;
}

/** The next event of a listener that must not have ended. */
export async function next(events: AsyncIterator<BuildHistoryEvent>): Promise<string> {
  const { done, value } = await events.next();
  assert.ok(!done);
  return eventText(value);
}

export const everything: HistoryQuery = { activeOnly: false, ref: "", earlyExit: false, filters: [], limit: 0 };

/** e.g. `DELETED a` */
function eventText(event: BuildHistoryEvent): string {
  const type = Object.entries(BuildHistoryEventType).find(([, number]) => number === event.type)?.[0];
  return `${type} ${event.record?.Ref}`;
}

export async function record(history: FleetHistory, ref: string, frontendOpt: Record<string, string> = {}) {
  await history.record(build(ref, frontendOpt), () => progressOf(0)).end({}, progressOf(0));
}
