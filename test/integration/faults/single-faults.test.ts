import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { State } from "../../../src/llb/builder/index.ts";
import type { Fault, Victim } from "../../chaos/fault.ts";
import { networkFaults } from "../../chaos/network-faults.ts";
import { processFaults } from "../../chaos/process-faults.ts";
import { InstanceMetadata } from "../../helpers/instance-metadata.ts";
import type { DaemonProcess } from "../../helpers/sandbox/daemon-process.ts";
import { type BuildClient, pushOutput, Sandbox } from "../../helpers/sandbox/index.ts";
import { PlacedBuilds } from "./placed-builds.ts";

const drainOnNotice = fileURLToPath(new URL("../../../deploy/aws/buildfleet-drain-on-notice", import.meta.url));
const curl = await promisify(execFile)("curl", ["--version"]).then(
  () => true,
  () => false,
);
const hourMs = 3_600_000;
/** What stops heartbeats. */
const cuts: ReadonlySet<string> = new Set(["unplug agent", "agent hears nobody", "nobody hears agent"]);

/** The others are in agent-loss, coordinator-loss, full-disk and corrupt-blob. */
describe("one fault at a time", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let builds: PlacedBuilds;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, agent: { slots: 2 }, namespaces: true, clocks: true });
    client = await sandbox.connect();
    builds = new PlacedBuilds(sandbox, client);
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  /** A slow step, and one on top of it that makes something to transfer. */
  function twoSteps(name: string, seconds = 4): State {
    return builds.sh(
      builds.slow(name, seconds),
      "dd if=/dev/urandom of=/bytes bs=64k count=32; sha256sum /bytes > /sum",
      "bytes",
    );
  }

  async function checkOutput(path: string, name: string): Promise<void> {
    assert.equal(await readFile(join(path, name), "utf8"), `${name}\n`);
    const sum = await promisify(execFile)("sha256sum", [join(path, "bytes")]);
    assert.equal(sum.stdout.slice(0, 64), (await readFile(join(path, "sum"), "utf8")).slice(0, 64));
  }

  /** Builds, with the fault at the agent of the slow step, from when it runs until the end. */
  async function buildUnder(fault: Fault, name: string): Promise<string> {
    const { placed, done, path } = builds.start(twoSteps(name), name);
    const agent = await placed;
    const undo = await fault.inject(sandbox, agent);
    try {
      const { log } = await done;
      await checkOutput(path, name);
      return log;
    } finally {
      await undo();
    }
  }

  for (const [i, fault] of networkFaults.entries()) {
    it(`goes on: ${fault.name}`, async (t) => {
      const missing = await fault.missing?.(sandbox);
      if (missing !== undefined) return t.skip(missing);
      const log = await buildUnder(fault, `network-${i}`);
      if (cuts.has(fault.name)) assert.match(log, /was lost: no heartbeat/);
    });
  }

  it("goes on when clocks are set ahead and back, and sees nothing of it", async () => {
    const lost = async () => (await sandbox.logs()).split(/agent lost|is gone|healthcheck failed/).length;
    const before = await lost();
    const { placed, done, path } = builds.start(twoSteps("clock", 9), "clock");
    const agent = await placed;
    const [head] = sandbox.heads;
    assert.ok(head);
    for (const shiftMs of [hourMs, -hourMs]) {
      for (const victim of [agent, head]) {
        await sandbox.setClock(victim, shiftMs);
        // A heartbeat, and two checks for them.
        await new Promise((resolve) => setTimeout(resolve, 2000));
      }
    }
    const { log } = await done;
    await checkOutput(path, "clock");
    assert.doesNotMatch(log, /\[fleet\]/);
    // What was made an hour from now counts.
    const { done: next } = builds.start(builds.sh(twoSteps("clock", 9), "cat /sum", "next"), "clock");
    assert.doesNotMatch((await next).log, /clock on/);
    const slow = ({ process }: { readonly process: DaemonProcess }) =>
      [...process.log.matchAll(/"time":"([^"]+)"/g)].some(
        ([, time = ""]) => Date.parse(time) < Date.now() - hourMs / 2,
      );
    assert.ok([agent, head].some(slow), "clocks were set");
    for (const victim of [agent, head]) await sandbox.setClock(victim, 0);
    assert.equal(await lost(), before);
  });

  it("goes on when its coordinator stands still for a while", async () => {
    const freeze = processFaults.find(({ name }) => name === "freeze coordinator");
    assert.ok(freeze);
    const { placed, done, path } = builds.start(twoSteps("still"), "still");
    await placed;
    const undo = await freeze.inject(sandbox, sandbox.heads[0] as Victim);
    await new Promise((resolve) => setTimeout(resolve, 3000));
    await undo();
    const { log } = await done;
    await checkOutput(path, "still");
    assert.doesNotMatch(log, /\[fleet\]/);
  });

  it("goes on when the registry starts again between pull and push", async () => {
    const state = builds.slow("registry", 3);
    const target = sandbox.image("pushed:latest");
    const log = Promise.withResolvers<void>();
    const done = client.build({
      state,
      outputs: [pushOutput(target)],
      onLog: (text) => {
        if (/registry on/.test(text)) log.resolve();
      },
    });
    done.catch(log.reject);
    await log.promise;
    await sandbox.registryServer.stop("SIGKILL");
    await sandbox.registryServer.start();
    await done;
    const { status } = await fetch(`http://${sandbox.registry}/v2/pushed/manifests/latest`, {
      headers: { accept: "application/vnd.oci.image.manifest.v1+json" },
    });
    assert.equal(status, 200);
  });

  it("sees nothing of a spot notice: its agent finishes, and leaves", { skip: curl ? false : "no curl" }, async () => {
    await using metadata = await InstanceMetadata.start({});
    const { placed, done, path } = builds.start(twoSteps("spot"), "spot");
    const agent = await placed;
    const { pid } = agent.process;
    const script = promisify(execFile)("sh", [drainOnNotice], {
      timeout: 60_000,
      env: {
        PATH: process.env["PATH"],
        METADATA: metadata.address,
        POLL_SECONDS: "0.1",
        STOP_COMMAND: `kill -TERM ${pid}; while kill -0 ${pid} 2>/dev/null; do sleep 0.1; done`,
      },
    });
    metadata.values["spot/instance-action"] = '{"action":"terminate","time":"2030-01-01T00:00:00Z"}';
    const [{ log }, { stdout }, how] = await Promise.all([done, script, agent.process.exited]);
    assert.match(stdout, /spot notice.*draining\nagents have left/s);
    assert.equal(how, "code 0");
    assert.doesNotMatch(log, /trying again/);
    await checkOutput(path, "spot");
    await sandbox.restartAgent(agent);
  });
});
