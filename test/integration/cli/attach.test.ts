import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { CliProcess, Sandbox, type SandboxHead, waitFor } from "../../helpers/sandbox/index.ts";

describe("builds in the background", () => {
  let sandbox: Sandbox;
  let first: SandboxHead;
  let second: SandboxHead;
  let contexts = 0;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 1, coordinators: 2 });
    [first, second] = sandbox.heads as [SandboxHead, SandboxHead];
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  const state = () => join(sandbox.root, "state");
  const buildfleet = (address: string, ...args: readonly string[]) =>
    new CliProcess(args, { BUILDFLEET_ADDR: address, HOME: sandbox.root, XDG_STATE_HOME: state() });
  const background = () => readdir(join(state(), "buildfleet", "builds"));

  /** A step that says something at once and then runs a command. */
  async function context(command: string): Promise<string> {
    const directory = join(sandbox.root, `context-${contexts++}`);
    await mkdir(directory);
    const run = `RUN echo begins ${contexts} && ${command}`;
    await writeFile(join(directory, "Dockerfile"), `FROM ${sandbox.image()}\n${run}\nRUN echo done > /done\n`);
    return directory;
  }

  async function detached(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await buildfleet(first.address, "build", "--detach", ...args).ended;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^[0-9a-f]{32}\n$/);
    return stdout.trim();
  }

  it("are followed from their start, through any coordinator", async () => {
    const out = join(sandbox.root, "out");
    const ref = await detached("-o", out, await context("sleep 5"));
    await waitFor("the step to run", () => sandbox.containers().length > 0);
    assert.match(await readFile(join(state(), "buildfleet", "builds", ref, "pid"), "utf8"), /^\d+\n$/);
    const here = buildfleet(first.address, "attach", ref);
    const there = await buildfleet(second.address, "attach", ref.slice(0, 8)).ended;
    for (const { code, stderr } of [there, await here.ended]) {
      assert.equal(code, 0, stderr);
      assert.match(stderr, /^#1 \[internal\] load build definition from Dockerfile$/m);
      assert.match(stderr, /^#\d+ [\d.]+ begins 1$/m);
      assert.match(stderr, new RegExp(`^build ${ref} has succeeded$`, "m"));
    }
    await waitFor("the background to end", async () => (await background()).length === 0);
    assert.equal(await readFile(join(out, "done"), "utf8"), "done\n");
    const later = await buildfleet(second.address, "attach").ended;
    assert.equal(later.code, 0, later.stderr);
    assert.match(later.stderr, /begins 1$/m);
  });

  it("end for those who follow as they end", async () => {
    const ref = await detached(await context("sleep 3 && exit 7"));
    for (const head of [second, first]) {
      const { code, stderr } = await buildfleet(head.address, "attach", ref).ended;
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^error: failed to solve: process "\/bin\/sh -c .*" did not complete successfully: exit code: 7$/m,
      );
    }
    await waitFor("the background to end", async () => {
      const files = await readdir(join(state(), "buildfleet", "builds", ref));
      return !files.includes("pid");
    });
  });

  it("go on when a reader leaves", async () => {
    const ref = await detached(await context("sleep 6"));
    const attached = buildfleet(second.address, "attach", ref);
    await attached.said(/begins/);
    attached.child.kill("SIGINT");
    const { code, stderr } = await attached.ended;
    assert.equal(code, 130);
    assert.match(stderr, new RegExp(`^detached: the build goes on; .* buildfleet attach ${ref}$`, "m"));
    assert.equal((await buildfleet(second.address, "attach", ref).ended).code, 0);
  });

  it("go on for readers and themselves when their coordinator dies", async () => {
    const addresses = `${first.address},${second.address}`;
    const build = await buildfleet(addresses, "build", "--detach", await context("sleep 6")).ended;
    const attached = buildfleet(second.address, "attach", build.stdout.trim());
    await attached.said(/begins/);
    assert.equal(await first.process.stop("SIGKILL"), "SIGKILL");
    const { code, stderr } = await attached.ended;
    await sandbox.restartHead(first);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /waiting for its client to begin it again\n/);
  });

  it("say at once what is wrong with them", async () => {
    const directory = await context("true");
    const noDaemon = await buildfleet("unix:///no/such.sock", "build", "--detach", directory).ended;
    assert.equal(noDaemon.code, 1);
    assert.match(noDaemon.stderr, /^error: cannot connect to unix:\/\/\/no\/such\.sock: no such socket/m);
    const toNobody = await buildfleet(first.address, "build", "--detach", "-o", "type=tar,dest=-", directory).ended;
    assert.equal(toNobody.code, 1);
    assert.match(toNobody.stderr, /--detach: nobody would read from stdout/);
    const unknown = await buildfleet(first.address, "attach", "nobody").ended;
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /no build "nobody" is recorded/);
  });
});
