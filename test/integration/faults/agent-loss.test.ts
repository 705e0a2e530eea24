import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { image, type State } from "../../../src/llb/builder/index.ts";
import { type BuildClient, directoryOutput, Sandbox, type SandboxAgent, waitFor } from "../../helpers/sandbox/index.ts";

describe("agents that are lost", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let outputs = 0;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, agent: { slots: 2 }, namespaces: true });
    client = await sandbox.connect();
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  const sh = (state: State, command: string, name: string) =>
    state.run({ args: ["sh", "-ec", command], customName: name });
  const base = () => image(sandbox.image());
  /** Prints the agent's address, then waits to be told by a file of the host to go on. */
  const slow = (name: string) =>
    sh(base(), `ip -4 addr show eth0 | awk '/inet /{print "${name} on " $2}'; sleep 5; echo ${name} > /${name}`, name);

  function agentOf(log: string, name: string): SandboxAgent | undefined {
    const address = new RegExp(`${name} on ([\\d.]+)`).exec(log)?.[1];
    return sandbox.agents.find((agent) => agent.host?.address === address);
  }

  /** Builds, and tells where its slow step first ran, while it runs. */
  function start(state: State, name: string) {
    const path = join(sandbox.root, `output-${outputs++}`);
    const placed = Promise.withResolvers<SandboxAgent>();
    const done = client.build({
      state,
      outputs: [directoryOutput(path)],
      onLog: (log) => {
        const agent = agentOf(log, name);
        if (agent !== undefined) placed.resolve(agent);
      },
    });
    done.catch(placed.reject);
    return { placed: placed.promise, done, path };
  }

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
