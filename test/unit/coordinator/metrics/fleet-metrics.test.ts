import assert from "node:assert/strict";
import { test } from "node:test";
import { FleetMetrics } from "../../../../src/coordinator/metrics/fleet-metrics.ts";
import type { AgentRecord } from "../../../../src/core/values/agent.ts";
import { serveMetrics } from "../../../../src/telemetry/index.ts";

const agent = (id: string, pool: string, slots: number, used: number) =>
  ({
    id,
    labels: { pool },
    draining: id === "b",
    running: ["t"],
    ...(id === "a" && { transfers: { receivedBytes: 7e6, sentBytes: 5, originBytes: 9, bytesPerSecond: 3e6 } }),
    capacity: { slots, cpu: slots, memoryBytes: 1e9 },
    occupied: { c1: { slots: used, cpu: 0.5, memoryBytes: 1e6 }, c2: { slots: 1, cpu: 0.5, memoryBytes: 1e6 } },
  }) as unknown as AgentRecord;

test("figures are those of the moment, summed by pool", async () => {
  let agents = [agent("a", "gpu", 4, 1), agent("b", "gpu", 2, 0), agent("c", "", 8, 3)];
  const queue = [{ platform: "linux/amd64", pool: "gpu", tasks: 3, coreSeconds: 12.5 }];
  const metrics = new FleetMetrics({ agents: () => agents, queue: () => queue, buildsRunning: () => 2 });
  metrics.taskPlaced("exec", 300);
  metrics.taskEnded("exec", false);
  metrics.taskEnded("exec", true);
  metrics.bytesFetched(1000);
  metrics.buildEnded({ failed: false, seconds: 3, steps: [{ how: "cached" }, { how: "cached" }, { how: "ran" }] });
  const text = await metrics.registry.metrics();
  for (const line of [
    'buildfleet_queue_core_seconds{platform="linux/amd64",pool="gpu"} 12.5',
    'buildfleet_queue_tasks{platform="linux/amd64",pool="gpu"} 3',
    'buildfleet_agents{pool="gpu"} 2',
    'buildfleet_agents_draining{pool="gpu"} 1',
    'buildfleet_slots{pool="gpu"} 6',
    'buildfleet_slots_used{pool="gpu"} 3',
    'buildfleet_slots_used{pool=""} 4',
    'buildfleet_cores_reserved{pool=""} 1',
    'buildfleet_agent_tasks{agent="c"} 1',
    'buildfleet_agent_received_bytes{agent="a"} 7000000',
    'buildfleet_agent_sent_bytes{agent="a"} 5',
    'buildfleet_agent_origin_bytes{agent="a"} 9',
    'buildfleet_agent_receive_bytes_per_second{agent="a"} 3000000',
    "buildfleet_builds_running 2",
    'buildfleet_builds_total{result="ok"} 1',
    'buildfleet_steps_total{result="cached"} 2',
    'buildfleet_steps_total{result="ran"} 1',
    'buildfleet_tasks_total{kind="exec",result="error"} 1',
    'buildfleet_task_wait_seconds_bucket{le="1",kind="exec"} 1',
    "buildfleet_fetched_bytes_total 1000",
  ]) {
    assert.ok(text.includes(`${line}\n`), `${line} is missing in\n${text}`);
  }
  agents = [];
  assert.doesNotMatch(await metrics.registry.metrics(), /pool="gpu"\} 6/, "what is gone is not told");
});

test("served at /metrics, with a check of health, and nothing else", async () => {
  const metrics = new FleetMetrics({ agents: () => [], queue: () => [], buildsRunning: () => 0 });
  await using server = await serveMetrics("127.0.0.1:0", metrics.registry);
  const get = (path: string) => fetch(`http://${server.address}${path}`);
  const answer = await get("/metrics");
  assert.match(answer.headers.get("content-type") ?? "", /^text\/plain; version=/);
  assert.match(await answer.text(), /process_cpu_seconds_total/);
  assert.equal(await (await get("/healthz")).text(), "ok\n");
  assert.equal((await get("/debug")).status, 404);
});
