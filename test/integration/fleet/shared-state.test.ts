import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { PruneRequest } from "../../../src/api/gen/control.ts";
import { image, type State } from "../../../src/llb/builder/index.ts";
import { directoryOutput, Sandbox, waitFor } from "../../helpers/sandbox/index.ts";

describe("what a fleet remembers", () => {
  let sandbox: Sandbox;
  let outputs = 0;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, coordinators: 2, agent: { slots: 1 } });
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  const sh = (state: State, command: string) => state.run({ args: ["sh", "-ec", command] });
  const unique = (name: string) => sh(image(sandbox.image()), `cat /proc/sys/kernel/random/uuid > /${name}`);

  async function built(state: State, file: string, head = 0): Promise<string> {
    const client = await sandbox.connect(head);
    const path = join(sandbox.root, `output-${outputs++}`);
    await client.build({ state, outputs: [directoryOutput(path)] });
    return readFile(join(path, file), "utf8");
  }

  it("shares results between coordinators", async () => {
    assert.equal(await built(unique("shared"), "shared", 0), await built(unique("shared"), "shared", 1));
  });

  it("keeps results over a restart of coordinators, agents and NATS", async () => {
    const first = await built(unique("kept"), "kept");
    for (const head of sandbox.heads) assert.equal(await head.process.stop(), "code 0");
    for (const agent of sandbox.agents) assert.equal(await agent.process.stop(), "code 0");
    await sandbox.nats.stop();
    await sandbox.nats.start();
    for (const agent of sandbox.agents) await sandbox.restartAgent(agent);
    for (const head of sandbox.heads) await sandbox.restartHead(head);
    assert.equal(await built(unique("kept"), "kept"), first);
  });

  it("gives work to an agent that joins while it waits", async () => {
    const client = await sandbox.connect();
    // Enough to do for as long as it takes an agent to start.
    const abort = new AbortController();
    const steps = Array.from({ length: 3 }, (_, i) =>
      client.build({ state: sh(image(sandbox.image()), `sleep 600; echo ${i}`), signal: abort.signal }),
    );
    const ended = Promise.allSettled(steps);
    await waitFor("both agents to be busy", () => sandbox.containers().length === 2);
    const joined = await sandbox.startAgent();
    await waitFor("the new agent to get work", () => sandbox.containers().length === 3);
    assert.ok(joined.process.running);
    abort.abort();
    await ended;
  });

  it("lists and prunes what agents hold", async () => {
    const client = await sandbox.connect();
    const first = await built(unique("pruned"), "pruned");
    const signal = AbortSignal.timeout(60_000);
    const before = await client.control.diskUsage([], signal);
    assert.ok(before.some((record) => record.Description.includes("/pruned")));
    const request = PruneRequest.fromPartial({ all: true });
    let pruned = 0;
    for await (const _ of client.control.prune(request, signal)) pruned++;
    assert.ok(pruned > 0);
    assert.deepEqual(await client.control.diskUsage([], signal), []);
    assert.notEqual(await built(unique("pruned"), "pruned"), first);
  });
});
