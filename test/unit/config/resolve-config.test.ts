import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { resolveAgent, resolveCoordinator, resolveStandalone } from "../../../src/config/index.ts";

describe("resolving a configuration", () => {
  let directory = "";
  let file = "";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "config-"));
    file = join(directory, "buildkitd.toml");
    await writeFile(
      file,
      'root = "/from/file"\n[grpc]\naddress = ["unix:///file.sock"]\n[worker.oci]\nmax-parallelism = 3\nlabels = { a = "1", b = "2" }\n',
    );
  });
  after(() => rm(directory, { recursive: true, force: true }));

  it("takes the file over defaults", async () => {
    const { config } = await resolveStandalone({ config: file }, {});
    assert.equal(config.root, "/from/file");
    assert.deepEqual(config.addresses, ["unix:///file.sock"]);
    assert.equal(config.capacity.slots, 3);
    assert.equal(config.maxParallelism, 3);
    assert.equal(config.snapshotter, "auto");
    assert.ok(config.gcRules.length > 0);
  });

  it("takes flags over the file", async () => {
    const flags = { config: file, root: "/flag", addr: ["tcp://127.0.0.1:0"], slots: 9, label: ["b=3", "c=4"] };
    const { config } = await resolveStandalone(flags, {});
    assert.equal(config.root, "/flag");
    assert.deepEqual(config.addresses, ["tcp://127.0.0.1:0"]);
    assert.equal(config.capacity.slots, 9);
    assert.ok(config.capacity.cpu >= 9, "who asks for slots gets them");
    assert.equal(config.maxParallelism, 3);
    assert.deepEqual(config.labels, { a: "1", b: "3", c: "4" });
  });

  it("reads NATS from flags, then the environment, then the default", async () => {
    const env = { NATS_URL: "nats://env:4222", NATS_TOKEN: "t" };
    assert.deepEqual((await resolveAgent({ config: file }, env)).config.nats, {
      urls: ["nats://env:4222"],
      token: "t",
    });
    const { config } = await resolveCoordinator({ config: file, nats: ["nats://a:1,nats://b:2"] }, {});
    assert.deepEqual(config.nats.urls, ["nats://a:1", "nats://b:2"]);
    assert.deepEqual((await resolveAgent({ config: file }, {})).config.nats.urls, ["nats://127.0.0.1:4222"]);
  });

  it("turns debug into the log level", async () => {
    assert.equal((await resolveStandalone({ config: file, debug: true }, {})).config.log.level, "debug");
    assert.equal((await resolveStandalone({ config: file, logLevel: "warn" }, {})).config.log.level, "warn");
  });

  it("says how long failed steps are kept, and how many", async () => {
    const flags = { config: file, keepFailed: "90s", keepFailedSteps: 3 };
    const { keepFailedMs, keepFailedSteps } = (await resolveStandalone(flags, {})).config;
    assert.deepEqual([keepFailedMs, keepFailedSteps], [90_000, 3]);
  });

  for (const [flags, message] of [
    [{ keepFailed: "long" }, /^--keep-failed must be a time such as 10m, not "long"/],
    [{ config: "/nowhere.toml" }, /^cannot read \/nowhere\.toml/],
    [{ snapshotter: "zfs" }, /^snapshotter "zfs" is not supported/],
    [{ tlscert: "/c" }, /^a certificate needs its key/],
    [{ label: ["novalue"] }, /^--label must be key=value/],
    [{ logLevel: "loud" }, /^unknown log level "loud"/],
    [{ net: "cni" }, /^network mode "cni" is not supported/],
  ] as const) {
    it(`refuses ${JSON.stringify(flags)}`, async () => {
      await assert.rejects(resolveStandalone({ config: file, ...flags }, {}), { name: "ConfigError", message });
    });
  }

  it("refuses addresses that are no host:port", async () => {
    await assert.rejects(resolveCoordinator({ config: file, agentLink: "4222" }, {}), /--agent-link must be host:port/);
    await assert.rejects(resolveAgent({ config: file, idleExit: "soon" }, {}), /--idle-exit must be a time/);
    await assert.rejects(resolveAgent({ config: file, drainTimeout: "soon" }, {}), /--drain-timeout must be a time/);
  });
});
