import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, describe, it } from "node:test";
import { hostPlatform } from "../../../src/core/values/platform.ts";
import { image, type State } from "../../../src/llb/builder/index.ts";
import { type BuildClient, Sandbox, type SandboxAgent, waitFor } from "../../helpers/sandbox/index.ts";

describe("what a coordinator tells Prometheus", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let small: SandboxAgent;
  let large: SandboxAgent;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 0, metrics: true });
    client = await sandbox.connect();
    small = await sandbox.startAgent({ slots: 1, labels: { pool: "small" } });
    large = await sandbox.startAgent({ slots: 1, labels: { pool: "large" } });
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  /** A figure by its name and labels, `name{pool="large"}`; undefined when it is not told. */
  async function figure(name: string): Promise<number | undefined> {
    const [, address] = /"address":"([^"]+)".*"metrics are served"/.exec(sandbox.heads[0]?.process.log ?? "") ?? [];
    const text = await (await fetch(`http://${address}/metrics`)).text();
    const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.slice(name.length + 1));
  }
  const becomes = (name: string, holds: (value: number) => boolean) =>
    waitFor(`${name} to be right`, async () => holds((await figure(name)) ?? 0));

  const on = (state: State, pool: string, command: string) =>
    state.run({ args: ["sh", "-ec", command], filters: [`labels.pool==${pool}`] });
  const base = () => image(sandbox.image());

  it("tells what waits and runs in each pool, and for how long tasks waited", async () => {
    const { os, architecture } = hostPlatform();
    const labels = `{platform="${os}/${architecture}",pool="large"}`;
    const abort = new AbortController();
    const running = client.build({ state: on(base(), "large", "sleep 600"), signal: abort.signal });
    const gone = assert.rejects(running);
    await waitFor("the step to run", () => sandbox.containers().length === 1);
    const waiting = client.build({ state: on(base(), "large", ": waits") });
    await becomes(`buildfleet_queue_tasks${labels}`, (tasks) => tasks === 1);
    // Of a step that nobody knows: 5 s on 0.6 cores.
    assert.equal(await figure(`buildfleet_queue_core_seconds${labels}`), 3);
    assert.equal(await figure('buildfleet_slots{pool="large"}'), 1);
    await becomes('buildfleet_slots_used{pool="large"}', (slots) => slots === 1);
    assert.equal(await figure('buildfleet_slots_used{pool="small"}'), 0);
    abort.abort();
    await Promise.all([gone, waiting]);
    assert.equal(await figure(`buildfleet_queue_tasks${labels}`), undefined);
    assert.ok(((await figure('buildfleet_task_wait_seconds_count{kind="exec"}')) ?? 0) >= 2);
  });

  it("tells what moved, and how fast it came", async () => {
    const before = (await figure("buildfleet_fetched_bytes_total")) ?? 0;
    const made = on(base(), "small", `head -c 20000000 /dev/urandom > /data; : ${randomUUID()}`);
    await client.build({ state: on(made, "large", "test -s /data") });
    assert.ok(((await figure("buildfleet_fetched_bytes_total")) ?? 0) - before >= 20e6);
    await becomes(`buildfleet_agent_received_bytes{agent="${large.id}"}`, (bytes) => bytes >= 20e6);
    await becomes(`buildfleet_agent_sent_bytes{agent="${small.id}"}`, (bytes) => bytes >= 20e6);
    await becomes(`buildfleet_agent_receive_bytes_per_second{agent="${large.id}"}`, (rate) => rate > 1e6);
    assert.equal(await figure(`buildfleet_agent_receive_bytes_per_second{agent="${small.id}"}`), undefined);
    // The base image came from the registry.
    assert.ok(((await figure(`buildfleet_agent_origin_bytes{agent="${small.id}"}`)) ?? 0) > 0);
  });

  it("tells how many steps came from the cache", async () => {
    const state = on(base(), "small", `: ${randomUUID()}`);
    const hits = async () => (await figure('buildfleet_steps_total{result="cached"}')) ?? 0;
    await client.build({ state });
    const before = await hits();
    await client.build({ state });
    await becomes('buildfleet_steps_total{result="cached"}', (cached) => cached > before);
  });

  it("forgets an agent that ended by itself, having had nothing to do", async () => {
    const idle = await sandbox.startAgent({ labels: { pool: "idle" }, idleExit: "1s" });
    assert.equal(await idle.process.exited, "code 0");
    await waitFor("its figures to go", async () => (await figure('buildfleet_agents{pool="idle"}')) === undefined);
  });
});
