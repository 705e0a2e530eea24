import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { Sandbox, type TestBuild, waitFor } from "../../helpers/sandbox/index.ts";
import { causesOf, explain } from "./explanations.ts";

describe("why steps of a fleet were not cached", () => {
  let sandbox: Sandbox;
  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, coordinators: 2, agent: { slots: 1 } });
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  it("compares builds of all coordinators, and names files as long as agents know them", async () => {
    const [one, two] = [await sandbox.connect(0), await sandbox.connect(1)];
    const context = await one.writeContext({ "kept.txt": "kept", "edited.txt": "before" });
    const build: TestBuild = {
      context,
      dockerfile: `FROM ${sandbox.image()}\nCOPY . /files\nRUN cat /files/edited.txt`,
    };
    await one.build(build);
    const { build: first } = await explain(one);
    await writeFile(join(context, "edited.txt"), "after");
    await two.build(build);
    const { build: second } = await explain(two);

    for (const client of [one, two]) {
      const { steps } = await waitFor("both builds at both coordinators", async () => {
        const found = await explain(client, "", second).catch(() => undefined);
        return found?.compared === 1 ? found : undefined;
      });
      const [copy, run] = steps;
      assert.deepEqual(copy && causesOf(copy), ["input #2 [internal] load build context: changed edited.txt"]);
      assert.equal(copy?.earlier?.build, first);
      assert.equal(run?.reason, "follows");
    }

    for (const agent of sandbox.agents) assert.equal(await agent.process.stop(), "code 0");
    const [copy] = (await explain(two, "COPY")).steps;
    assert.deepEqual(copy && causesOf(copy), ["input #2 [internal] load build context:"]);
    for (const agent of sandbox.agents) await sandbox.restartAgent(agent);
    const [again] = (await explain(two, "COPY")).steps;
    assert.deepEqual(again && causesOf(again), ["input #2 [internal] load build context: changed edited.txt"]);
  });
});
