import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { image } from "../../../src/llb/builder/index.ts";
import {
  type BuildClient,
  makeLayer,
  pushImage,
  Sandbox,
  type SandboxAgent,
  waitFor,
} from "../../helpers/sandbox/index.ts";
import { mountsUnder } from "../../helpers/sandbox/leftovers.ts";

describe("an agent whose disk is full", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let small: SandboxAgent;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 0 });
    small = await sandbox.startAgent({ root: await sandbox.mountDisk(24 << 20) });
    client = await sandbox.connect();
    const files = [1, 2].map((number) => ({ path: `noise-${number}`, data: randomBytes(20 << 20) }));
    await pushImage(sandbox.image("large:latest"), [makeLayer(files)]);
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  const largeOn = (filters: readonly string[]) =>
    image(sandbox.image()).run({
      args: ["ls", "/large"],
      mounts: [{ target: "/large", source: image(sandbox.image("large:latest")) }],
      filters,
    });

  it("lets a step see that its disk is full", async () => {
    const build = client.build({ state: image(sandbox.image()).run({ args: ["sh", "-c", "yes > /big"] }) });
    await assert.rejects(build, /exit code/);
    // And has room again.
    await client.build({ state: image(sandbox.image()).run({ args: ["sh", "-c", "echo fits > /small"] }) });
  });

  it("leaves the runtime its own room, so that a step does not fail at its start", () => {
    assert.ok(mountsUnder(small.root).includes(join(small.root, "executor")));
  });

  it("fails with an error that names agent and path when nobody has room", async () => {
    await assert.rejects(client.build({ state: largeOn([]) }), (error) => {
      const text = String(error);
      assert.match(text, /ENOSPC|no space left/i);
      assert.ok(text.includes(small.id), text);
      assert.ok(text.includes(small.root), text);
      return true;
    });
  });

  it("gives the step to an agent that has room", async () => {
    const roomy = await sandbox.startAgent();
    const done = await client.build({ state: largeOn([]) });
    assert.match(done.log, /noise-1/);
    await waitFor("the roomy agent's log", () => roomy.process.log.includes("agent started"));
  });
});
