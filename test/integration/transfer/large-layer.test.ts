import assert from "node:assert/strict";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { image, type State } from "../../../src/llb/builder/index.ts";
import { type BuildClient, Sandbox, type SandboxAgent } from "../../helpers/sandbox/index.ts";

describe("a layer large enough for a swarm", () => {
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

  const madeOn = (agent: SandboxAgent, name: string) =>
    on(agent, image(sandbox.image()), `head -c 24000000 /dev/urandom > /${name}; md5sum /${name}`);

  const sumIn = (log: string) => /([0-9a-f]{32})\s+\//.exec(log)?.[1];

  it("goes to two agents at once, in chunks", async () => {
    const [first, second, third] = agents;
    const made = madeOn(first, "spread");
    const sum = sumIn((await client.build({ state: made })).log);
    assert.ok(sum !== undefined);
    const both = [second, third].map((agent) =>
      client.build({ state: on(agent, made, `md5sum /spread; : ${agent.id}`) }),
    );
    for (const { log } of await Promise.all(both)) assert.ok(log.includes(sum), log);
    for (const { root } of [second, third]) {
      assert.equal((await readdir(join(root, "receiving"))).length, 1, "it was not received in chunks");
    }
  });

  it("is cut anew when its holder's blob has gone bad", async () => {
    const [first, second, third] = agents;
    const made = madeOn(first, "spoiled");
    const built = await client.build({ state: on(second, made, "md5sum /spoiled") });
    await second.process.stop();
    await spoilLargeBlobs(first);
    const again = await client.build({ state: on(third, made, "md5sum /spoiled; echo third") });
    const sum = sumIn(built.log);
    assert.ok(sum !== undefined && again.log.includes(sum), again.log);
    await sandbox.restartAgent(second);
  });
});

/** Flips a byte of every large blob that an agent stores. */
async function spoilLargeBlobs(agent: SandboxAgent): Promise<void> {
  const directory = join(agent.root, "content", "blobs", "sha256");
  let spoiled = 0;
  for (const name of await readdir(directory)) {
    await using file = await open(join(directory, name), "r+");
    const { size } = await file.stat();
    if (size < 20e6) continue;
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, size >> 1);
    byte[0] = (byte[0] ?? 0) ^ 0xff;
    await file.write(byte, 0, 1, size >> 1);
    spoiled++;
  }
  assert.ok(spoiled > 0, "it stores none");
}
