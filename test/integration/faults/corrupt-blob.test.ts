import assert from "node:assert/strict";
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { image, type State } from "../../../src/llb/builder/index.ts";
import { type BuildClient, Sandbox, type SandboxAgent } from "../../helpers/sandbox/index.ts";

describe("an agent whose blobs went bad", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let agents: [SandboxAgent, SandboxAgent, SandboxAgent];

  before(async () => {
    sandbox = await Sandbox.start({ agents: 3 });
    client = await sandbox.connect();
    agents = sandbox.agents as [SandboxAgent, SandboxAgent, SandboxAgent];
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  const on = (agent: SandboxAgent, state: State, command: string) =>
    state.run({ args: ["sh", "-ec", command], filters: [`id==${agent.id}`] });

  /** Flips a byte of every blob that an agent stores. */
  async function spoil(agent: SandboxAgent): Promise<void> {
    const root = join(agent.root, "content");
    let spoiled = 0;
    for (const path of await readdir(root, { recursive: true })) {
      const file = join(root, path);
      if (!(await stat(file)).isFile()) continue;
      await using handle = await open(file, "r+");
      const { size } = await handle.stat();
      const byte = Buffer.alloc(1);
      await handle.read(byte, 0, 1, size >> 1);
      byte[0] = (byte[0] ?? 0) ^ 0xff;
      await handle.write(byte, 0, 1, size >> 1);
      spoiled++;
    }
    assert.ok(spoiled > 0, "it stores nothing");
  }

  it("is not believed: another holder gives the layer", async () => {
    const [first, second, third] = agents;
    const made = on(first, image(sandbox.image()), "echo good > /file");
    await client.build({ state: on(second, made, "cat /file") });
    await spoil(first);
    const done = await client.build({ state: on(third, made, "cat /file; echo third") });
    assert.match(done.log, /good\s+third/);
  });

  it("cuts the layer anew when nobody else holds it", async () => {
    const [first, second, third] = agents;
    const made = on(first, image(sandbox.image()), "echo better > /file");
    await client.build({ state: on(second, made, "cat /file") });
    await second.process.stop();
    await spoil(first);
    const done = await client.build({ state: on(third, made, "cat /file; echo third") });
    assert.match(done.log, /better\s+third/);
    await sandbox.restartAgent(second);
  });
});
