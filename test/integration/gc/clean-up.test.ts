import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { image } from "../../../src/llb/builder/index.ts";
import { type BuildClient, Sandbox, waitFor } from "../../helpers/sandbox/index.ts";

const limitBytes = 24e6;
const stepBytes = 4e6;

for (const standalone of [false, true]) {
  describe(`${standalone ? "a standalone daemon" : "an agent"} with little room`, () => cleansUp(standalone));
}

function cleansUp(standalone: boolean): void {
  let sandbox: Sandbox;
  let client: BuildClient;

  before(async () => {
    sandbox = await Sandbox.start({
      standalone,
      gcPolicy: `[[worker.oci.gcpolicy]]\nall = true\nmaxUsedSpace = ${limitBytes}\n`,
    });
    client = await sandbox.connect();
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  const step = (name: string) => `head -c ${stepBytes} /dev/urandom > /${name}; echo made ${name}`;
  const threeSteps = (name: string) =>
    [1, 2, 3].reduce(
      (state, number) => state.run({ args: ["sh", "-ec", step(`${name}-${number}`)] }),
      image(sandbox.image()),
    );
  const used = async () => {
    const records = await client.control.diskUsage([], AbortSignal.timeout(30_000));
    return records.reduce((sum, { Size }) => sum + Number(Size), 0);
  };

  it("comes back under its limit while builds go on, and they succeed", async () => {
    for (let pair = 0; pair < 4; pair++) {
      const builds = [0, 1].map((one) => client.build({ state: threeSteps(`b${pair}-${one}`) }));
      for (const { log } of await Promise.all(builds)) assert.match(log, /made b\d-\d-3/);
    }
    // Eight builds have stored four times the limit.
    await waitFor("the agent to be under its limit", async () => (await used()) <= limitBytes);
    assert.ok((await used()) > stepBytes, "newer results stay");
  });

  it("tells clients its rules, and why a filter cannot be read", async () => {
    const signal = AbortSignal.timeout(10_000);
    const workers = await client.control.workers([], signal);
    assert.deepEqual(
      workers.map(({ GCPolicy }) => GCPolicy),
      [
        [
          {
            ...{ all: true, filters: [], keepDuration: 0n, reservedSpace: 0, minFreeSpace: 0 },
            maxUsedSpace: limitBytes,
          },
        ],
      ],
    );
    await assert.rejects(client.control.diskUsage(["type=x"], signal), /failed to parse diskusage filters \[type=x\]/);
  });

  it("makes what was removed again", async () => {
    const { log } = await client.build({ state: threeSteps("b0-0") });
    assert.match(log, /made b0-0-3/);
  });
}
