import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { connect as connectNats } from "@nats-io/transport-node";
import { ChunkingMessageBus, NatsMessageBus, subjects } from "../../../src/bus/index.ts";
import type { AgentRecord } from "../../../src/core/values/agent.ts";
import { decode } from "../../../src/util/msgpack.ts";
import { Buildx, CliProcess, Sandbox, type SandboxHead, waitFor } from "../../helpers/sandbox/index.ts";

const noBuildx = await Buildx.missing();
const noBuildctl = spawnSync("buildctl", ["--version"]).error !== undefined && "buildctl is not on the PATH";

describe("a coordinator that dies", () => {
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

  const buildfleet = (address: string, ...args: readonly string[]) =>
    new CliProcess(args, { BUILDFLEET_ADDR: address, HOME: sandbox.root, XDG_STATE_HOME: join(sandbox.root, "state") });

  /** A context whose first step says a number it makes up, and whose second takes a while. */
  async function slowContext(): Promise<string> {
    const directory = join(sandbox.root, `slow-${contexts++}`);
    await mkdir(directory);
    const dockerfile = [
      `FROM ${sandbox.image()} AS made`,
      `RUN echo ${contexts} && cat /proc/sys/kernel/random/uuid > /first && echo "number $(cat /first)"`,
      "RUN echo slow step && sleep 5 && echo done > /second",
      "FROM scratch",
      "COPY --from=made /first /second /",
    ];
    await writeFile(join(directory, "Dockerfile"), dockerfile.join("\n"));
    return directory;
  }

  async function killed(head: SandboxHead, during: CliProcess): Promise<void> {
    await during.said(/slow step\n/);
    await waitFor("the step to run", () => sandbox.containers().some((command) => command.includes("sleep")));
    assert.equal(await head.process.stop("SIGKILL"), "SIGKILL");
  }

  /** A context whose only step says a number it makes up, and takes a while. */
  async function longContext(): Promise<string> {
    const directory = join(sandbox.root, `long-${contexts++}`);
    await mkdir(directory);
    const step = `RUN : ${contexts}; cat /proc/sys/kernel/random/uuid > /made && echo "number $(cat /made)" && sleep 8`;
    const dockerfile = [`FROM ${sandbox.image()} AS made`, step, "FROM scratch", "COPY --from=made /made /"];
    await writeFile(join(directory, "Dockerfile"), dockerfile.join("\n"));
    return directory;
  }

  /** Kills the first coordinator once all have heard of the step that runs. @returns the number which the step has said */
  async function killedDuring(build: CliProcess): Promise<string> {
    const nats = await connectNats({ servers: `nats://${sandbox.nats.address}` });
    await using bus = new ChunkingMessageBus(new NatsMessageBus(nats, () => {}));
    await build.said(/number [0-9a-f-]{36}/);
    let steps: readonly string[] = [];
    using _heartbeats = bus.subscribe(subjects.allAgentHeartbeats, ({ data }) => {
      steps = decode<AgentRecord>(data).steps ?? [];
    });
    await waitFor("a heartbeat that names the step", () => steps.length > 0);
    assert.equal(await first.process.stop("SIGKILL"), "SIGKILL");
    return numbers(build.stderr)[0] ?? "";
  }

  const buildctl = (head: SandboxHead, context: string, out: string) =>
    new CliProcess(
      [
        ...["--addr", head.address, "build", "--progress", "plain", "--frontend", "dockerfile.v0"],
        ...["--local", `context=${context}`, "--local", `dockerfile=${context}`],
        ...["--output", `type=local,dest=${out}`],
      ],
      { HOME: sandbox.root },
      ["buildctl"],
    );

  const numbers = (text: string) => [...text.matchAll(/number ([0-9a-f-]{36})/g)].map(([, number]) => number);

  it("costs a build of ours nothing but time when there is another coordinator", async () => {
    const out = join(sandbox.root, "out-other");
    const build = buildfleet(`${first.address},${second.address}`, "build", "-o", out, await slowContext());
    await killed(first, build);
    const { code, stderr } = await build.ended;
    await sandbox.restartHead(first);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /connecting again\n/);
    assert.match(stderr, /CACHED/);
    assert.deepEqual(numbers(stderr), [(await readFile(join(out, "first"), "utf8")).trim()]);
    assert.equal(await readFile(join(out, "second"), "utf8"), "done\n");
  });

  it("does not end a step that runs: the build goes on with it at another coordinator", async () => {
    const out = join(sandbox.root, "out-joined");
    const build = buildfleet(`${first.address},${second.address}`, "build", "-o", out, await longContext());
    const number = await killedDuring(build);
    const { code, stderr } = await build.ended;
    await sandbox.restartHead(first);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /has begun this step for another build/);
    assert.equal((await readFile(join(out, "made"), "utf8")).trim(), number);
  });

  it("leaves what runs to a build that buildctl begins again, be it long after", { skip: noBuildctl }, async () => {
    const context = await longContext();
    const failed = buildctl(first, context, join(sandbox.root, "out-never"));
    const number = await killedDuring(failed);
    assert.equal((await failed.ended).code, 1);
    await waitFor("the step to end", () => sandbox.containers().length === 0);
    const out = join(sandbox.root, "out-kept");
    const { code, stderr } = await buildctl(second, context, out).ended;
    await sandbox.restartHead(first);
    assert.equal(code, 0, stderr);
    assert.equal((await readFile(join(out, "made"), "utf8")).trim(), number);
    // Told once: then it is in the index.
    assert.match((await buildctl(first, context, out).ended).stderr, /CACHED/);
  });

  it("costs a build of ours nothing but time when it starts again itself", async () => {
    const tar = join(sandbox.root, "out.tar");
    const build = buildfleet(first.address, "build", "-o", `type=tar,dest=${tar}`, await slowContext());
    await killed(first, build);
    await build.said(/connecting again\n/);
    await sandbox.restartHead(first);
    const { code, stderr } = await build.ended;
    assert.equal(code, 0, stderr);
    const [number = "", ...others] = numbers(stderr);
    assert.deepEqual(others, []);
    // One archive, whose first file has what the first step has said.
    const archive = await readFile(tar, "latin1");
    assert.equal(archive.split(number).length, 2);
    assert.equal(archive.split("second\0").length, 2);
  });

  it("costs a build of ours nothing but time when it is stopped", async () => {
    const build = buildfleet(`${first.address},${second.address}`, "build", await slowContext());
    await build.said(/slow step\n/);
    assert.equal(await first.process.stop(), "code 0");
    const { code, stderr } = await build.ended;
    await sandbox.restartHead(first);
    assert.equal(code, 0, stderr);
    assert.equal(numbers(stderr).length, 1);
  });

  it("is not needed for a connection to break", async () => {
    const { hostname, port } = new URL(first.address);
    const open = new Set<Socket>();
    const proxy = createServer((near) => {
      const far = connect(Number(port), hostname);
      for (const socket of [near, far]) open.add(socket.on("error", () => {}).on("close", () => open.delete(socket)));
      near.pipe(far).pipe(near);
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    try {
      const address = `tcp://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
      const build = buildfleet(address, "build", await slowContext());
      await build.said(/slow step\n/);
      for (const socket of open) socket.destroy();
      const { code, stderr } = await build.ended;
      assert.equal(code, 0, stderr);
      assert.equal(numbers(stderr).length, 1);
    } finally {
      proxy.close();
    }
  });

  it("ends a build whose output is on its way to stdout, and says so", async () => {
    const big = `RUN dd if=/dev/zero of=/big bs=1M count=64 && echo ${contexts}`;
    const directory = join(sandbox.root, `big-${contexts++}`);
    await mkdir(directory);
    await writeFile(join(directory, "Dockerfile"), `FROM ${sandbox.image()}\n${big}\n`);
    const build = buildfleet(`${first.address},${second.address}`, "build", "-o", "type=tar,dest=-", directory);
    // Nothing more is read, so the archive stays on its way.
    await new Promise<void>((resolve) => build.child.stdout?.once("data", () => resolve()));
    build.child.stdout?.pause();
    assert.equal(await first.process.stop("SIGKILL"), "SIGKILL");
    build.child.stdout?.resume();
    const { code, stderr } = await build.ended;
    await sandbox.restartHead(first);
    assert.equal(code, 1);
    assert.match(stderr, /error: cannot build again, for output has been written to stdout already: /);
    assert.doesNotMatch(stderr, /connecting again/);
  });

  it("is a prompt and plain error for buildctl", { skip: noBuildctl }, async () => {
    const context = await slowContext();
    const build = buildctl(first, context, join(sandbox.root, "out-buildctl"));
    await killed(first, build);
    const { code, stderr } = await build.ended;
    await sandbox.restartHead(first);
    assert.equal(code, 1);
    assert.match(stderr, /error: .*(Unavailable|connection|EOF)/);
  });

  it("is a prompt and plain error for docker buildx", { skip: noBuildx }, async () => {
    const home = join(sandbox.root, "buildx");
    await mkdir(home);
    const buildx = (...args: readonly string[]) =>
      new CliProcess(args, { HOME: home, DOCKER_CONFIG: home }, ["docker-buildx"]);
    const created = await buildx("create", "--name", "fleet", "--driver", "remote", first.address).ended;
    assert.equal(created.code, 0, created.stderr);
    const build = buildx("build", "--builder", "fleet", "--progress", "plain", await slowContext());
    await killed(first, build);
    const { code, stderr } = await build.ended;
    await sandbox.restartHead(first);
    assert.equal(code, 1);
    assert.match(stderr, /ERROR: .*(Unavailable|connection|EOF)/);
  });
});
