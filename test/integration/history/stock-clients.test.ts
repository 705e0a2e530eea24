import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { MemoryMessageBus, SqliteKeyValueStore } from "../../../src/bus/index.ts";
import { LocalContentStore } from "../../../src/content/index.ts";
import { createFrontDoor } from "../../../src/coordinator/front-door/index.ts";
import { FleetHistory } from "../../../src/coordinator/history/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { listenGrpc } from "../../../src/grpc/index.ts";
import { SessionManager } from "../../../src/session/index.ts";
import { systemClock } from "../../../src/util/system-clock.ts";
import { build, progressOf } from "../../unit/coordinator/history/history-setup.ts";
import { FakeBuildService } from "../front-door/fake-build-service.ts";

const run = promisify(execFile);

async function installed(command: string, ...args: string[]): Promise<boolean> {
  return run(command, args).then(
    () => true,
    () => false,
  );
}

/** Old ones have no such command, and answer with the help of all. */
async function showsHistory(buildx: string): Promise<boolean> {
  return run(buildx, ["history", "ls", "--help"]).then(
    ({ stdout }) => stdout.includes("--format"),
    () => false,
  );
}

describe("stock clients read the history", async () => {
  const owned = new AsyncDisposableStack();
  let directory: string;
  let history: FleetHistory;
  let address: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "history-"));
    owned.defer(() => rm(directory, { recursive: true, force: true }));
    history = owned.use(
      await FleetHistory.open({
        coordinatorId: "one",
        keyValues: owned.use(new SqliteKeyValueStore(join(directory, "coordinator.db"))),
        store: await LocalContentStore.open(join(directory, "history")),
        bus: new MemoryMessageBus(),
        clock: systemClock,
        logger: silentLogger,
      }),
    );
    const server = createFrontDoor({
      logger: silentLogger,
      builds: new FakeBuildService(),
      sessions: new SessionManager({ logger: silentLogger }),
      version: { package: "buildfleet", version: "v0.1.0", revision: "abc", dockerfileVersion: "" },
      llbCapabilities: [],
      history,
      content: history.content,
    });
    owned.defer(() => server.close());
    address = owned.use(await listenGrpc(server, "tcp://127.0.0.1:0")).address;
    await history.record(build("good", { target: "app" }), () => progressOf(0)).end({}, progressOf(1 << 20));
    await history
      .record(build("bad"), () => progressOf(0))
      .end({ error: new BuildError(Code.NotFound, "no such stage") }, progressOf(0));
  });
  after(() => owned.disposeAsync());

  describe("buildctl", { skip: !(await installed("buildctl", "--version")) && "buildctl is not on the PATH" }, () => {
    const buildctl = async (...args: string[]) =>
      (await run("buildctl", ["--addr", address, "debug", ...args], { maxBuffer: 16 << 20 })).stdout;

    it("lists records", async () => {
      const records = (await buildctl("histories", "--format", "{{json .Record}}"))
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
      assert.deepEqual(records.map(({ Ref }) => Ref).sort(), ["bad", "good"]);
      const bad = records.find(({ Ref }) => Ref === "bad");
      assert.deepEqual(bad.error, { code: Code.NotFound, message: "no such stage" });
    });

    it("prints the log of a build from its record and from its blob", async () => {
      const log = await buildctl("logs", "good");
      assert.match(log, /a{1000}/);
      assert.match(log, /#2 two/);
      const digest = (await buildctl("histories", "--format", "{{.Record.Ref}} {{.Record.Logs.Digest}}"))
        .split("\n")
        .find((line) => line.startsWith("good "))
        ?.slice("good ".length);
      assert.ok((await buildctl("get", digest ?? "")).length > 1 << 20);
    });

    it("pins and deletes", async () => {
      await history.record(build("spare"), () => progressOf(0)).end({}, progressOf(0));
      await buildctl("ctl", "--pin", "spare");
      assert.match(await buildctl("histories"), /spare\s.*\*/);
      await buildctl("ctl", "--delete", "spare");
      assert.doesNotMatch(await buildctl("histories"), /spare/);
      await assert.rejects(buildctl("ctl", "--pin", "spare"), /failed to retrieve ref spare: file does not exist/);
    });
  });

  describe("docker buildx", {
    skip: !(await showsHistory("docker-buildx")) && "no docker-buildx on the PATH that shows the history",
  }, () => {
    const buildx = (...args: string[]) =>
      run("docker-buildx", args, {
        maxBuffer: 16 << 20,
        env: { ...process.env, BUILDX_CONFIG: join(directory, "buildx"), DOCKER_CONFIG: join(directory, "docker") },
      });
    before(() => buildx("create", "--name", "fleet", "--driver", "remote", address));

    it("lists, inspects and removes", async () => {
      const buildHistory = (...args: string[]) => buildx("--builder", "fleet", "history", ...args);
      const refs = async (...args: string[]) =>
        (await buildHistory("ls", "--format", "{{.Ref}} {{.Status}}", ...args)).stdout.trim().split("\n").sort();
      assert.deepEqual(await refs(), ["bad Error", "good Completed"]);
      assert.deepEqual(await refs("--filter", "status=error"), ["bad Error"]);
      assert.match(
        (await buildHistory("inspect", "good")).stdout,
        /Target:\s+app[\s\S]*Build Steps:\s+2\/2 \(50% cached\)/,
      );
      assert.match((await buildHistory("inspect", "bad")).stdout, /Error:\s+NotFound no such stage/);
      assert.match((await buildHistory("logs", "good")).stderr, /#2 two/);
      await buildHistory("rm", "bad");
      assert.deepEqual(await refs(), ["good Completed"]);
    });
  });
});
