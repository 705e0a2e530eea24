import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { image } from "../../../src/llb/builder/index.ts";
import { Sandbox } from "../../helpers/sandbox/index.ts";
import { GatewayBuild } from "./gateway-build.ts";

describe("a container whose agent is lost", () => {
  let sandbox: Sandbox;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 1 });
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  it("ends for the frontend, which hears why", async () => {
    const client = await sandbox.connect();
    await using build = new GatewayBuild(client.grpc);
    const container = await build.container(await build.ref(image(sandbox.image())));
    await using processes = build.processes();
    const process = processes.start(container, ["sh", "-c", "echo up; sleep 1000"], { fds: [0, 1] });
    for await (const _ of process.output) break;
    sandbox.agents[0]?.process.signal("SIGKILL");
    const { Code: code, Error: error } = await process.exit;
    assert.equal(code, 255);
    assert.match(error?.message ?? "", /^(agent \w+ was lost|lost the connection to the agent)/);
    const late = await processes.start(container, ["true"]).exit;
    assert.match(late.Error?.message ?? "", /^agent \w+ was lost/);
    await assert.rejects(build.release(container));
  });
});
