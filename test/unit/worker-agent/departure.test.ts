import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MemoryMessageBus, subjects } from "../../../src/bus/index.ts";
import type { Clock } from "../../../src/core/seams/clock.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { encode } from "../../../src/util/msgpack.ts";
import { rendezvous } from "../../../src/util/rendezvous.ts";
import { Departure, type DepartureOptions } from "../../../src/worker-agent/departure.ts";
import { HandoverRequests } from "../../../src/worker-agent/handover-requests.ts";

const nothing = { layers: 0, bytes: 0, left: 0, cacheMounts: 0 };
/** Pauses take no time, but for the whole time to drain. */
const hasty: Clock = {
  now: () => 0,
  sleep: async (ms, signal) => {
    if (ms < 60_000) return void (await new Promise(setImmediate));
    await new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
  },
};

function departure(more: Partial<DepartureOptions>): Departure {
  return new Departure({
    tasks: { drain: async () => {}, running: [] },
    heartbeat: { beat: () => {} },
    handover: { run: async () => nothing },
    hasLayers: () => true,
    clock: hasty,
    logger: silentLogger,
    ...more,
  });
}

describe("Departure", () => {
  it("hands over what the last task made", async () => {
    const ended = Promise.withResolvers<void>();
    let running = ["task"];
    const seen: number[] = [];
    const tasks = {
      drain: () => ended.promise,
      get running() {
        return running;
      },
    };
    const handover = {
      run: async () => {
        seen.push(running.length);
        if (seen.length === 3) {
          running = [];
          ended.resolve();
        }
        return nothing;
      },
    };
    await departure({ tasks, handover }).prepare(600_000);
    assert.deepEqual(seen, [1, 1, 1, 0]);
  });

  it("ends when its time is up, whatever still runs", async () => {
    let aborted = false;
    const handover = {
      run: (signal: AbortSignal) =>
        new Promise<never>((_, reject) =>
          signal.addEventListener("abort", () => {
            aborted = true;
            reject(signal.reason);
          }),
        ),
    };
    await departure({ handover, tasks: { drain: () => new Promise(() => {}), running: ["task"] } }).prepare(10);
    assert.ok(aborted);
  });

  it("asks nobody when there is nothing to give", async () => {
    const run = () => assert.fail("asked");
    await departure({ hasLayers: () => false, handover: { run } }).prepare(600_000);
  });
});

describe("HandoverRequests", () => {
  const signal = new AbortController().signal;
  const requests = (bus: MemoryMessageBus, ids: readonly string[]) =>
    new HandoverRequests({
      agentId: "a",
      bus,
      clock: hasty,
      coordinators: { ids, unsettledMs: 0 },
      logger: silentLogger,
    });

  it("asks one coordinator until it is done, and the next one when that is gone", async () => {
    await using bus = new MemoryMessageBus();
    const ids = ["one", "two", "three"];
    const [, second = ""] = rendezvous("a", ids);
    let asked = 0;
    bus.subscribe(subjects.handover(second), (message) => {
      asked++;
      message.respond(
        encode(asked < 3 ? { done: false } : { done: true, layers: 5, bytes: 50, left: 1, cacheMounts: 0 }),
      );
    });
    assert.deepEqual(await requests(bus, ids).run(signal), {
      done: true,
      layers: 5,
      bytes: 50,
      left: 1,
      cacheMounts: 0,
    });
    assert.equal(asked, 3);
  });

  it("gives up when no coordinator is heard", async () => {
    await using bus = new MemoryMessageBus();
    assert.equal(await requests(bus, []).run(signal), undefined);
  });
});
