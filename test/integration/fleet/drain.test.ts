import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { CacheSharingOpt } from "../../../src/api/gen/ops.ts";
import { image, type State } from "../../../src/llb/builder/index.ts";
import { type BuildClient, directoryOutput, Sandbox, type SandboxAgent, waitFor } from "../../helpers/sandbox/index.ts";

describe("agents that are told to leave", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let outputs = 0;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 1, coordinators: 2, agent: { slots: 2 }, namespaces: true });
    client = await sandbox.connect();
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  const sh = (state: State, command: string, on?: SandboxAgent) =>
    state.run({ args: ["sh", "-ec", command], ...(on === undefined ? {} : { filters: [`id==${on.id}`] }) });
  const base = () => image(sandbox.image());
  const uuid = (file: string) => `cat /proc/sys/kernel/random/uuid > /${file}`;

  async function build(state: State) {
    const path = join(sandbox.root, `output-${outputs++}`);
    const done = await client.build({ state, outputs: [directoryOutput(path)] });
    return { ...done, file: (name: string) => readFile(join(path, name), "utf8") };
  }

  async function leave(agent: SandboxAgent): Promise<void> {
    assert.equal(await agent.process.stop("SIGTERM"), "code 0");
    const workers = await client.control.workers([], AbortSignal.timeout(10_000));
    assert.ok(workers.every(({ ID }) => ID !== agent.id));
  }

  it("leave others what only they had: nothing is built again", async () => {
    const [stays] = sandbox.agents;
    const leaves = await sandbox.startAgent();
    const state = sh(sh(sh(base(), uuid("one"), leaves), uuid("two"), leaves), uuid("three"), leaves);
    const first = await build(state);
    await leave(leaves);
    const again = await build(state);
    for (const name of ["one", "two", "three"]) assert.equal(await again.file(name), await first.file(name));
    const ran = again.vertices.filter(({ name, cached }) => name.startsWith("sh -ec") && !cached);
    assert.deepEqual(ran, []);
    // By a coordinator, which says so.
    assert.match(leaves.process.log, /"layers":3,"bytes":\d+,"left":0/);
    assert.ok(stays?.process.running);
  });

  it("leave others their cache mounts", async () => {
    const leaves = await sandbox.startAgent();
    const step = (command: string, on?: SandboxAgent) =>
      base().run({
        args: ["sh", "-ec", command],
        mounts: [{ target: "/cache", cache: { id: "handed-over", sharing: CacheSharingOpt.LOCKED } }],
        ...(on === undefined ? {} : { filters: [`id==${on.id}`] }),
      });
    await client.build({ state: step("echo warm > /cache/state", leaves) });
    await leave(leaves);
    assert.match(leaves.process.log, /"cacheMounts":1/);
    const { log } = await client.build({ state: step("cat /cache/state") });
    assert.match(log, /warm/);
  });

  it("go when nobody could take anything", async () => {
    const lonely = await Sandbox.start({ agents: 1 });
    try {
      const own = await lonely.connect();
      await own.build({ state: sh(image(lonely.image()), uuid("alone")) });
      const [agent] = lonely.agents;
      assert.equal(await agent?.process.stop("SIGTERM"), "code 0");
      assert.match(agent?.process.log ?? "", /"layers":0,"bytes":0,"left":1/);
    } finally {
      await lonely[Symbol.asyncDispose]();
    }
  });

  it("leave in time: what still runs is done by others", async () => {
    const slow = await sandbox.startAgent({ slots: 9, drainTimeout: "1s" });
    const marker = `ip -4 addr show eth0 | grep -q ${slow.host?.address}/`;
    // As many at the same time as the others have no room for.
    const builds = Array.from({ length: 6 }, (_, i) =>
      build(sh(base(), `if ${marker}; then sleep 600; fi; echo ${i} > /late`)),
    );
    const done = Promise.all(builds);
    done.catch(() => {});
    await waitFor("a step on it", () => sandbox.containers().some((command) => command.includes("sleep 600")));
    await leave(slow);
    for (const [i, { file }] of (await done).entries()) assert.equal(await file("late"), `${i}\n`);
  });

  it("fail no build when half of them leave under load", async () => {
    const leaving = [await sandbox.startAgent(), await sandbox.startAgent()];
    await sandbox.startAgent();
    const steps = 4;
    const chain = (i: number) =>
      Array.from({ length: steps }).reduce<State>(
        (state, _, step) => sh(state, `sleep 0.3; echo ${i} ${step} >> /chain`),
        base(),
      );
    const builds = Array.from({ length: 8 }, (_, i) => build(chain(i)));
    const done = Promise.all(builds);
    done.catch(() => {});
    await waitFor("steps to run", () => sandbox.containers().length > 2);
    await Promise.all(leaving.map(leave));
    for (const [i, { file }] of (await done).entries()) {
      const expected = Array.from({ length: steps }, (_, step) => `${i} ${step}\n`).join("");
      assert.equal(await file("chain"), expected);
    }
  });
});
