import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { untilIdle } from "../../../src/cli/daemon/until-idle.ts";

const idleMs = 20;

test("an agent is idle when nothing has run for long enough, not while something runs", async () => {
  const agent = { running: 1 };
  let idle = false;
  const waited = untilIdle(agent, idleMs, new AbortController().signal).then(() => {
    idle = true;
  });
  await pause(5 * idleMs);
  assert.equal(idle, false);
  agent.running = 0;
  await waited;
});

test("the wait ends when the agent is told to end", async () => {
  const abort = new AbortController();
  const waited = untilIdle({ running: 1 }, idleMs, abort.signal);
  abort.abort();
  await waited;
});
