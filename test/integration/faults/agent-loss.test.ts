import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { State } from "../../../src/llb/builder/index.ts";
import { type BuildClient, Sandbox, waitFor } from "../../helpers/sandbox/index.ts";
import { mountsUnder } from "../../helpers/sandbox/leftovers.ts";
import { PlacedBuilds } from "./placed-builds.ts";

describe("agents that are lost", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let builds: PlacedBuilds;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, agent: { slots: 2 }, namespaces: true });
    client = await sandbox.connect();
    builds = new PlacedBuilds(sandbox, client);
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  const sh = (state: State, command: string, name: string) => builds.sh(state, command, name);
  const base = () => builds.base();
  const slow = (name: string) => builds.slow(name);
  const start = (state: State, name: string) => builds.start(state, name);

  it("runs a step elsewhere when its agent is killed", async () => {
    const { placed, done, path } = start(slow("killed"), "killed");
    const agent = await placed;
    await agent.process.stop("SIGKILL");
    await done;
    assert.equal(await readFile(join(path, "killed"), "utf8"), "killed\n");
    await sandbox.restartAgent(agent);
    await sandbox.idle();
  });

  it("makes layers again that only a killed agent held", async () => {
    const input = sh(slow("lineage"), "echo second >> /lineage", "second");
    const { placed, done } = start(input, "lineage");
    await done;
    const agent = await placed;
    await agent.process.stop("SIGKILL");
    const { done: again, path } = start(sh(input, "echo third >> /lineage", "third"), "lineage");
    await again;
    assert.equal(await readFile(join(path, "lineage"), "utf8"), "lineage\nsecond\nthird\n");
    await sandbox.restartAgent(agent);
    await sandbox.idle();
  });

  it("makes lost layers again in the middle of a build", async () => {
    const held = sh(base(), `ip -4 addr show eth0 | awk '/inet /{print "held on " $2}'; echo held > /held`, "held");
    const after = sh(sh(held, "sleep 5; echo more >> /held", "slow"), "echo last >> /held", "last");
    const { placed, done, path } = start(after, "held");
    const agent = await placed;
    await waitFor("the next step", () => sandbox.containers().some((command) => command.includes("sleep 5")));
    await agent.process.stop("SIGKILL");
    await done;
    assert.equal(await readFile(join(path, "held"), "utf8"), "held\nmore\nlast\n");
    await sandbox.restartAgent(agent);
    await sandbox.idle();
  });

  it("refuses the late answer of an agent that was taken for dead", async () => {
    const { placed, done, path } = start(slow("frozen"), "frozen");
    const agent = await placed;
    agent.process.signal("SIGSTOP");
    const result = await done;
    assert.match(result.log, /no heartbeat/);
    agent.process.signal("SIGCONT");
    assert.equal(await readFile(join(path, "frozen"), "utf8"), "frozen\n");
    await sandbox.idle();
    // It works for the fleet again.
    await waitFor("the agent to come back", async () => {
      const workers = await client.control.workers([], AbortSignal.timeout(10_000));
      return workers.some((worker) => worker.ID === agent.id);
    });
  });

  it("survives an agent cut off from the network, and its return", async () => {
    const { placed, done, path } = start(slow("cut"), "cut");
    const agent = await placed;
    await agent.host?.setConnected(false);
    await done;
    assert.equal(await readFile(join(path, "cut"), "utf8"), "cut\n");
    await agent.host?.setConnected(true);
    await waitFor("the agent to come back", async () => {
      const workers = await client.control.workers([], AbortSignal.timeout(10_000));
      return workers.some((worker) => worker.ID === agent.id);
    });
    await sandbox.idle();
    const { done: next } = start(slow("after-cut"), "after-cut");
    await next;
  });

  it("finishes its step when an agent is told to end", async () => {
    const { placed, done, path } = start(slow("drained"), "drained");
    const agent = await placed;
    assert.equal(await agent.process.stop("SIGTERM"), "code 0");
    await done;
    assert.equal(await readFile(join(path, "drained"), "utf8"), "drained\n");
    await sandbox.restartAgent(agent);
    await sandbox.idle();
  });

  it("leaves at once at a second signal, and nothing behind", async () => {
    const { placed, done, path } = start(slow("hurried"), "hurried");
    const agent = await placed;
    agent.process.signal("SIGTERM");
    await waitFor("the agent to drain", () => agent.process.log.includes("agent is stopping"));
    // Two within 200 ms are taken for one.
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(await agent.process.stop("SIGTERM"), "code 0");
    assert.deepEqual(mountsUnder(agent.root), []);
    await done;
    assert.equal(await readFile(join(path, "hurried"), "utf8"), "hurried\n");
    await sandbox.restartAgent(agent);
    await sandbox.idle();
  });

  it("goes on over a restart of NATS", async () => {
    const { placed, done, path } = start(sh(slow("bus"), "echo next >> /bus", "next"), "bus");
    await placed;
    await sandbox.nats.stop();
    await sandbox.nats.start();
    await done;
    assert.equal(await readFile(join(path, "bus"), "utf8"), "bus\nnext\n");
    await sandbox.idle();
  });
});
