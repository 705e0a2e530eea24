import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { ProcessSpawner } from "../../../src/util/process/index.ts";

describe("ProcessSpawner", () => {
  const spawner = new ProcessSpawner();
  after(() => spawner[Symbol.asyncDispose]());
  const sh = (script: string) => ["/bin/sh", "-c", script];

  test("capture() gives output and exit code", async () => {
    const result = await spawner.capture(sh("echo out; echo err >&2; exit 3"));
    assert.deepEqual(result, { code: 3, signal: null, stdout: "out\n", stderr: "err\n" });
  });

  test("run() passes environment, working directory and nothing else", async () => {
    const result = await spawner.capture(["/usr/bin/env"], { env: { A: "1", B: "x y" }, cwd: "/tmp" });
    assert.equal(result.stdout, "A=1\nB=x y\n");
    assert.equal((await spawner.capture(sh("pwd"), { cwd: "/usr" })).stdout, "/usr\n");
  });

  test("run() names the signal which ended the process", async () => {
    assert.deepEqual(await spawner.run(sh("kill -TERM $$")), { code: null, signal: "SIGTERM" });
  });

  test("run() rejects for a program that does not exist", async () => {
    await assert.rejects(spawner.run(["/no/such/program"]), { name: "SpawnError", reason: "missing" });
  });

  test("run() feeds stdin and holds the process back while a callback waits", async () => {
    const megabyte = Buffer.alloc(1 << 20, "x");
    async function* stdin() {
      for (let i = 0; i < 16; i++) yield megabyte;
    }
    let bytes = 0;
    let inside = 0;
    await spawner.run(["/bin/cat"], {
      stdin: stdin(),
      stdout: async (data) => {
        assert.equal(++inside, 1, "callbacks overlap");
        await new Promise((resolve) => setImmediate(resolve));
        bytes += data.length;
        inside--;
      },
    });
    assert.equal(bytes, 16 << 20);
  });

  test("run() survives a process that does not read its stdin", async () => {
    async function* stdin() {
      for (let i = 0; i < 32; i++) yield Buffer.alloc(1 << 16);
    }
    assert.equal((await spawner.run(["/bin/true"], { stdin: stdin() })).code, 0);
  });

  test("abort kills the process and rejects with the reason", async () => {
    const abort = new AbortController();
    const reason = new Error("enough");
    let pid = 0;
    await assert.rejects(
      spawner.run(["/bin/sleep", "60"], {
        signal: abort.signal,
        onStarted: (started) => {
          pid = started;
          abort.abort(reason);
        },
      }),
      reason,
    );
    assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
  });

  test("a helper that died is replaced, and what it ran is reported as lost", async () => {
    const own = new ProcessSpawner();
    const parent = (await own.capture(sh("echo $PPID"))).stdout.trim();
    const lost = own.run(["/bin/sleep", "60"], { onStarted: () => process.kill(Number(parent), "SIGKILL") });
    await assert.rejects(lost, { name: "SpawnError", reason: "lost" });
    const next = (await own.capture(sh("echo $PPID"))).stdout.trim();
    assert.notEqual(next, parent);
    await own[Symbol.asyncDispose]();
    assert.throws(() => process.kill(Number(next), 0), { code: "ESRCH" });
  });

  test("many at once", async () => {
    const results = await Promise.all(
      Array.from({ length: 24 }, (_, i) => spawner.capture(sh(`echo ${i}; exit ${i}`))),
    );
    results.forEach((result, i) => {
      assert.equal(result.stdout, `${i}\n`);
      assert.equal(result.code, i);
    });
  });
});
