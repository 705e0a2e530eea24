import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { InstanceMetadata } from "../../helpers/instance-metadata.ts";

const script = fileURLToPath(new URL("../../../deploy/aws/buildfleet-drain-on-notice", import.meta.url));
const curl = await promisify(execFile)("curl", ["--version"]).then(
  () => true,
  () => false,
);

/** What an instance knows of itself; a path without a value is answered with 404. */
const instance = {
  "instance-id": "i-0123",
  "placement/region": "eu-central-1",
  "tags/instance/aws:autoscaling:groupName": "agents",
  "autoscaling/target-lifecycle-state": "InService",
};

describe("drain on notice", { skip: curl ? false : "no curl" }, () => {
  let directory: string;
  let metadata: InstanceMetadata;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "buildfleet-deploy-"));
    metadata = await InstanceMetadata.start(instance);
  });
  afterEach(async () => {
    await metadata[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  /** An agent that needs a moment to leave, and what the script does about it. */
  async function run(env: Readonly<Record<string, string>>) {
    const agent = spawn("sh", [
      "-c",
      `trap 'sleep 0.3; echo left >> ${directory}/events; exit 0' TERM; while :; do sleep 0.05; done`,
    ]);
    const gone = new Promise((resolve) => agent.once("exit", resolve));
    const aws = join(directory, "aws");
    await writeFile(aws, `#!/bin/sh\necho "$@" >> ${directory}/events\n`);
    await chmod(aws, 0o755);
    const stop = `kill ${agent.pid}; while kill -0 ${agent.pid} 2>/dev/null; do sleep 0.05; done`;
    const running = promisify(execFile)("sh", [script], {
      timeout: 60_000,
      env: {
        PATH: `${directory}:${process.env["PATH"]}`,
        METADATA: metadata.address,
        POLL_SECONDS: "0.05",
        STOP_COMMAND: stop,
        ...env,
      },
    });
    const ended = running.finally(async () => {
      agent.kill("SIGKILL");
      await gone;
    });
    ended.catch(() => {});
    return { agent, ended };
  }
  const events = async () => (await readFile(join(directory, "events"), "utf8")).trim().split("\n");
  const seen = async (count: number) => {
    while (metadata.looks("autoscaling/target-lifecycle-state") < count)
      await new Promise((resolve) => setTimeout(resolve, 10));
  };

  it("drains when the group wants the instance gone, then completes the action", async () => {
    const { agent, ended } = await run({ LIFECYCLE_HOOK: "drain" });
    await seen(3);
    assert.equal(agent.exitCode, null);
    metadata.values["autoscaling/target-lifecycle-state"] = "Terminated";
    const { stdout } = await ended;
    assert.match(stdout, /agents have left/);
    assert.deepEqual(await events(), [
      "left",
      "autoscaling complete-lifecycle-action --lifecycle-action-result CONTINUE --lifecycle-hook-name drain " +
        "--auto-scaling-group-name agents --instance-id i-0123 --region eu-central-1",
    ]);
  });

  it("drains at a spot notice; without a hook nothing is completed", async () => {
    const { ended } = await run({});
    await seen(2);
    metadata.values["spot/instance-action"] = '{"action":"terminate"}';
    assert.match((await ended).stdout, /spot notice/);
    assert.deepEqual(await events(), ["left"]);
  });

  it("completes the action also when an agent does not end well", async () => {
    metadata.values["autoscaling/target-lifecycle-state"] = "Terminated";
    const { ended } = await run({ LIFECYCLE_HOOK: "drain", STOP_COMMAND: "exit 3" });
    assert.match((await ended).stderr, /did not end/);
    assert.match((await events()).join(), /complete-lifecycle-action/);
  });
});
