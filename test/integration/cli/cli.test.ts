import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

const launcher = join(import.meta.dirname, "../../../bin/buildfleet.mjs");
const busybox = "/bin/busybox";
const runtimes = ["/usr/bin/runc", "/usr/sbin/runc", "/usr/bin/crun"];
const unable =
  process.getuid?.() !== 0
    ? "needs root"
    : !existsSync(busybox)
      ? "needs busybox"
      : !runtimes.some((path) => existsSync(path)) && "needs runc or crun";

interface Ended {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [launcher, ...args], {
    env: { ...process.env, BUILDKIT_PROGRESS: "plain", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const stdout: Buffer[] = [];
  let stderr = "";
  child.stdout?.on("data", (data: Buffer) => stdout.push(data));
  child.stderr?.on("data", (data: Buffer) => {
    stderr += data;
  });
  const ended = once(child, "close").then(([code]) => ({ code, stdout: Buffer.concat(stdout), stderr }));
  return { child, ended };
}

/** Resolves once a process has written something to stderr. */
function said({ child, ended }: ReturnType<typeof start>, text: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    let all = "";
    child.stderr?.on("data", (data: Buffer) => {
      all += data;
      if (text.test(all)) resolve();
    });
    void ended.then(({ stderr }) => reject(new Error(`ended without saying ${text}: ${stderr}`)));
  });
}

describe("buildfleet on one machine", { skip: unable }, () => {
  let directory = "";
  let address = "";
  let daemon: ReturnType<typeof start>;
  const buildfleet = (...args: readonly string[]) =>
    start(args, { BUILDFLEET_ADDR: address, DOCKER_CONFIG: directory }).ended;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "cli-"));
    address = `unix://${join(directory, "daemon.sock")}`;
    const context = join(directory, "ctx");
    await mkdir(context);
    await copyFile(busybox, join(context, "busybox"));
    await writeFile(join(context, "file"), "content\n");
    await writeFile(join(context, "ignored"), "");
    await writeFile(join(context, ".dockerignore"), "ignored\n");
    await writeFile(
      join(context, "Dockerfile"),
      `FROM scratch AS base
COPY busybox /bin/busybox
ARG WORD=none
FROM base AS made
ARG WORD
RUN ["/bin/busybox", "sh", "-c", "echo word is $WORD; echo $WORD > /word"]
RUN --mount=type=secret,id=key ["/bin/busybox", "sh", "-c", "busybox=/bin/busybox; $busybox cat /run/secrets/key > /length"]
FROM base AS fails
RUN ["/bin/busybox", "sh", "-c", "echo about to fail; exit 7"]
FROM base AS waits
RUN ["/bin/busybox", "sh", "-c", "echo waiting; exec /bin/busybox sleep 600"]
FROM scratch
COPY --from=made /word /length /
COPY . /context/
`,
    );
    daemon = start(["standalone", "--root", join(directory, "root"), "--addr", address]);
    await said(daemon, /standalone is ready/);
  });

  after(async () => {
    daemon.child.kill("SIGTERM");
    const { code } = await daemon.ended;
    await rm(directory, { recursive: true, force: true });
    assert.equal(code, 0);
  });

  it("builds a directory with a Dockerfile into a directory", async () => {
    await writeFile(join(directory, "key"), "secret");
    const out = join(directory, "out");
    const metadata = join(directory, "metadata.json");
    const { code, stderr } = await buildfleet(
      ...["build", "--build-arg", "WORD=hello", "--secret", `id=key,src=${join(directory, "key")}`],
      ...["--metadata-file", metadata, "--ref-file", join(directory, "ref"), "-o", out, join(directory, "ctx")],
    );
    assert.equal(code, 0, stderr);
    assert.deepEqual((await readdir(out)).sort(), ["context", "length", "word"]);
    assert.deepEqual((await readdir(join(out, "context"))).sort(), [".dockerignore", "Dockerfile", "busybox", "file"]);
    assert.equal(await readFile(join(out, "word"), "utf8"), "hello\n");
    assert.match(stderr, /^#\d+ [\d.]+ word is hello$/m);
    assert.match(stderr, /^#\d+ exporting to client directory$/m);
    assert.match(await readFile(join(directory, "ref"), "utf8"), /^[0-9a-f]{32}$/);
    assert.equal(typeof JSON.parse(await readFile(metadata, "utf8")), "object");
  });

  it("takes the flags of buildctl, and writes a tar to stdout", async () => {
    const context = join(directory, "ctx");
    const { code, stdout, stderr } = await buildfleet(
      ...["build", "--frontend", "dockerfile.v0", "--opt", "target=base", "--local", `context=${context}`],
      ...["--local", `dockerfile=${context}`, "--output", "type=tar,dest=-", "--progress=rawjson"],
    );
    assert.equal(code, 0, stderr);
    assert.equal(stdout.toString("latin1", 257, 262), "ustar");
    for (const line of stderr.trim().split("\n")) assert.equal(typeof JSON.parse(line), "object");
  });

  it("shows where a build failed", async () => {
    const { code, stderr } = await buildfleet("build", "--target", "fails", join(directory, "ctx"));
    assert.equal(code, 1);
    assert.match(stderr, /^#\d+ ERROR: process ".*" did not complete successfully: exit code: 7$/m);
    assert.match(stderr, /^------\n > \[fails 1\/1\] RUN .*:\n[\d.]+ about to fail\n------\nDockerfile:9\n/m);
    assert.match(stderr, /^ {3}9 \| >>> RUN /m);
    assert.match(stderr, /\nerror: failed to solve: process ".*" did not complete successfully: exit code: 7\n$/);
  });

  it("cancels the build when it is interrupted", async () => {
    const build = start(["build", "--target", "waits", join(directory, "ctx")], { BUILDFLEET_ADDR: address });
    await said(build, /waiting/);
    build.child.kill("SIGINT");
    const { code, stderr } = await build.ended;
    assert.equal(code, 1);
    assert.match(stderr, /error: failed to solve: context canceled\n$/);
  });

  it("lists workers and disk usage", async () => {
    const workers = await buildfleet("workers", "--format", "json");
    const [worker] = JSON.parse(workers.stdout.toString());
    assert.equal(worker.platforms[0].os, "linux");
    const usage = await buildfleet("du");
    assert.match(usage.stdout.toString(), /^ID +RECLAIMABLE +SIZE +DESCRIPTION\n[\s\S]*^Total: +\d/m);
    assert.equal((await buildfleet("prune", "--all")).code, 0);
  });

  it("stands in for buildctl", async () => {
    const buildctl = (...args: readonly string[]) => buildfleet("buildctl", "--addr", address, ...args);
    const context = join(directory, "ctx");
    const locals = ["--local", `context=${context}`, "--local", `dockerfile=${context}`];
    const ref = join(directory, "ref");
    const built = await buildctl(
      "build",
      "--frontend",
      "dockerfile.v0",
      "--opt",
      "target=base",
      ...locals,
      "--ref-file",
      ref,
    );
    assert.equal(built.code, 0, built.stderr);
    const workers = await buildctl("debug", "workers", "--format", "{{json .}}");
    assert.equal(JSON.parse(workers.stdout.toString()).length, 1);
    const header = /^TYPE\t+REF\t+CREATED\t+COMPLETED\t+GENERATION\n/;
    const pruned = (await buildctl("prune-histories")).stdout.toString();
    assert.match(pruned, header);
    assert.match(pruned, new RegExp(`^COMPLETE\\t${await readFile(ref, "utf8")}\\t`, "m"));
    assert.doesNotMatch((await buildctl("prune-histories")).stdout.toString().replace(header, ""), /./);
    assert.match((await buildctl("du")).stdout.toString(), /^Total:\t+[1-9]/m);
    assert.equal((await buildctl("prune", "--all")).code, 0);
    assert.match((await buildctl("du")).stdout.toString(), /^Total:\t+0B$/m);
  });

  it("lets no second daemon use the same state", async () => {
    const { code, stderr } = await buildfleet("standalone", "--root", join(directory, "root"), "--addr", `${address}2`);
    assert.equal(code, 1);
    assert.match(stderr, /^error: .*root is in use by another process \(\d+\): give each its own --root$/m);
  });
});
