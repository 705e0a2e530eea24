import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import * as gateway from "../../../src/api/gen/gateway.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { FileAction, scratch } from "../../../src/llb/builder/index.ts";
import { type BuildClient, Sandbox, waitFor } from "../../helpers/sandbox/index.ts";
import { pushFrontendImage } from "../gateway/frontend-image.ts";
import { GatewayBuild } from "../gateway/gateway-build.ts";

/** The daemon's memory may grow by no more than this, whatever a frontend does. */
const maxGrowthKiB = 1 << 20;

describe("frontends that mean harm", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let frontend: string;

  before(async () => {
    sandbox = await Sandbox.start({ standalone: true });
    client = await sandbox.connect();
    frontend = sandbox.image("hostile:latest");
    await pushFrontendImage(frontend, {}, "hostile-frontend.ts");
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  function run(build: GatewayBuild, action: string, opts: Readonly<Record<string, string>> = {}): Promise<unknown> {
    const request = gateway.SolveRequest.fromPartial({
      Frontend: "gateway.v0",
      FrontendOpt: { source: frontend, do: action, ...opts },
      allowResultReturn: true,
    });
    return build.call("Solve", gateway.SolveRequest, gateway.SolveResponse, request);
  }

  /** The error of a frontend that ends by itself; afterwards all is as before. */
  async function failure(action: string, opts: Readonly<Record<string, string>> = {}): Promise<BuildError> {
    await using build = new GatewayBuild(client.grpc);
    const error = await run(build, action, opts).then(
      () => assert.fail("did not fail"),
      (thrown: unknown) => BuildError.from(thrown),
    );
    await assertHealthy();
    return error;
  }

  /** What a frontend was answered with. */
  async function told(action: string, opts: Readonly<Record<string, string>> = {}): Promise<unknown[]> {
    const { message } = await failure(action, opts);
    const start = message.indexOf("told ");
    assert.ok(start >= 0, message);
    return JSON.parse(message.slice(start + 5)) as unknown[];
  }

  /** The daemon builds, runs nothing else and has not grown. */
  async function assertHealthy(): Promise<void> {
    assert.equal(sandbox.heads[0]?.process.running, true);
    await client.build({ dockerfile: "FROM scratch\nCOPY a /\n", context: { a: "a" } });
    await sandbox.idle();
    const status = await readFile(`/proc/${sandbox.heads[0]?.process.pid}/status`, "utf8");
    const peak = Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]);
    assert.ok(peak < maxGrowthKiB, `${peak} KiB at most`);
  }

  for (const action of ["garbage", "frames", "hugeFrame", "headers", "resets"]) {
    it(`are ended when they speak no HTTP/2: ${action}`, async () => {
      assert.match((await failure(action)).message, /frontend grpc server closed unexpectedly$/);
    });
  }

  for (const action of ["hang", "pings", "endless"]) {
    it(`end with their build: ${action}`, async () => {
      const build = new GatewayBuild(client.grpc);
      const running = assert.rejects(run(build, action));
      await waitFor("the frontend to run", () => sandbox.containers().length === 1);
      // Others build meanwhile.
      await client.build({ dockerfile: "FROM scratch\nCOPY a /\n", context: { a: action } });
      await build[Symbol.asyncDispose]();
      await running;
      await assertHealthy();
    });
  }

  it("say no more than so much on stderr", async () => {
    assert.deepEqual(await told("stderr"), "done");
  });

  it("are told what is wrong with their messages", async () => {
    const answers = await told("messages");
    for (const answer of answers) assert.notEqual(answer, "taken");
    assert.match(String(answers.at(-2)), /larger|too large|exceed|limit/);
    assert.match(String(answers.at(-1)), /unknown method Nothing/);
  });

  it("read nothing outside their refs", async () => {
    const answers = await told("escapes");
    assert.deepEqual(answers.at(-1), "inside");
    assert.doesNotMatch(JSON.stringify(answers), /root:/);
  });

  it("do not reach refs and builds of others", async () => {
    await using other = new GatewayBuild(client.grpc);
    const ref = await other.ref(scratch().file(FileAction.none.mkfile("/secret", 0o600, "secret")));
    const answers = await told("foreign", { other: ref, build: other.id });
    for (const answer of answers) assert.match(String(answer), /^! /);
    assert.doesNotMatch(JSON.stringify(answers), /"secret"/);
    await other.finish();
  });

  it("return once", async () => {
    const { message } = await failure("returnsTwice");
    assert.match(message, /told "first"$/);
  });

  it("are told what is wrong with their processes, which end", async () => {
    assert.deepEqual(await told("processes", { image: sandbox.image() }), [
      "! ProcessID required",
      '! IO for process "p" not found',
      '! container "nothing" previously released or not created',
      "! Process p already exists",
      "! fd 7 unavailable to write",
      "exit 0 ",
      "exit 137 exit code: 137",
      "! Unknown signal SIGNONSENSE",
      "exit 1 exit code: 1",
      "exit 255 invalid security mode 7",
      "! Container c0 already exists",
      "! container details for no not found",
    ]);
  });

  it("may ask for much at the same time", async () => {
    assert.deepEqual(await told("crowd"), [500, 500]);
  });

  it("may hand in graphs as large as a message", async () => {
    assert.deepEqual(await told("manyOps"), ["string", "taken"]);
  });

  it("do not call themselves without end", async () => {
    assert.match(
      (await failure("itself")).message,
      /frontend gateway.v0 is nested more than 16 deep: does it call itself\?$/,
    );
  });
});
