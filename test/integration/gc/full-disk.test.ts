import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, afterEach, before, describe, it } from "node:test";
import { image } from "../../../src/llb/builder/index.ts";
import { type BuildClient, makeLayer, pushImage, Sandbox } from "../../helpers/sandbox/index.ts";

describe("a disk that is full of what can be made again", () => {
  let sandbox: Sandbox;
  let client: BuildClient;

  before(async () => {
    // Rules that never have anything to do: only the disk is small.
    sandbox = await Sandbox.start({
      agents: 0,
      gcPolicy: "[[worker.oci.gcpolicy]]\nall = true\nmaxUsedSpace = 1000000000\n",
    });
    await sandbox.startAgent({ root: await sandbox.mountDisk(64 << 20) });
    client = await sandbox.connect();
    await pushImage(sandbox.image("large:latest"), [makeLayer([{ path: "noise", data: randomBytes(20 << 20) }])]);
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  it("has room for a pull once it was cleaned up", async () => {
    for (const name of ["one", "two", "three"]) {
      const command = `head -c 14000000 /dev/urandom > /${name}`;
      await client.build({ state: image(sandbox.image()).run({ args: ["sh", "-c", command] }) });
    }
    const { log } = await client.build({
      state: image(sandbox.image()).run({
        args: ["ls", "/large"],
        mounts: [{ target: "/large", source: image(sandbox.image("large:latest")) }],
      }),
    });
    assert.match(log, /noise/);
  });
});
