import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ExecFailedError } from "../../src/core/errors/exec-failed-error.ts";
import type {
  AdditionalProcess,
  ContainerProcess,
  ExecUsage,
  Executor,
  ProcessControl,
  ProcessIo,
} from "../../src/core/seams/executor.ts";
import { hostPlatform } from "../../src/core/values/platform.ts";
import { makeBusyboxRootfs } from "../helpers/busybox-rootfs.ts";

export interface ExecutorUnderTest extends AsyncDisposable {
  readonly executor: Executor;
  /** Whatever is left of containers: state, cgroups, bundles. Empty when all is well. */
  leftovers(): readonly string[];
}

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly usage: ExecUsage;
}

/** What every Executor must do. */
export function runExecutorSuite(name: string, create: (directory: string) => Promise<ExecutorUnderTest>): void {
  describe(`Executor: ${name}`, () => {
    let directory: string;
    let rootfs: string;
    let subject: ExecutorUnderTest;
    let serial = 0;

    before(async () => {
      directory = mkdtempSync(join(tmpdir(), "executor-suite-"));
      rootfs = makeBusyboxRootfs(join(directory, "rootfs"));
      subject = await create(join(directory, "executor"));
    });
    after(async () => {
      await subject[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    });

    const process = (script: string, change: Partial<ContainerProcess> = {}): ContainerProcess => ({
      id: `suite${++serial}`,
      rootfs,
      rootReadonly: false,
      mounts: [],
      args: ["/bin/sh", "-c", script],
      env: ["PATH=/bin"],
      cwd: "/",
      user: "",
      hostname: "",
      extraHosts: [],
      network: "sandbox",
      security: "sandbox",
      ulimits: [],
      cgroupParent: "",
      removeMountStubsRecursive: true,
      validExitCodes: [],
      platform: hostPlatform(),
      ...change,
    });

    const run = async (
      script: string,
      change: Partial<ContainerProcess> = {},
      signal: AbortSignal = new AbortController().signal,
    ): Promise<Outcome> => {
      const out: Uint8Array[] = [];
      const err: Uint8Array[] = [];
      const io = {
        stdout: (data: Uint8Array) => void out.push(data),
        stderr: (data: Uint8Array) => void err.push(data),
      };
      const usage = await subject.executor.run(process(script, change), io, signal);
      return { stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString(), usage };
    };

    test("run() gives both output streams and what it cost", async () => {
      const { stdout, stderr, usage } = await run("echo out; echo err >&2");
      assert.equal(stdout, "out\n");
      assert.equal(stderr, "err\n");
      assert.equal(usage.exitCode, 0);
      assert.ok(usage.wallMs > 0);
      assert.ok(usage.cpuNanos > 0);
      assert.ok(usage.peakMemoryBytes > 0);
    });

    test("run() rejects with the exit code", async () => {
      await assert.rejects(run("exit 42"), (error) => {
        assert.ok(error instanceof ExecFailedError);
        assert.equal(error.exitCode, 42);
        assert.equal(error.message, "exit code: 42");
        assert.equal(error.infrastructure, false);
        return true;
      });
    });

    test("run() takes the exit codes that are declared valid, and no others", async () => {
      assert.equal((await run("exit 42", { validExitCodes: [0, 42] })).usage.exitCode, 42);
      await assert.rejects(run("exit 0", { validExitCodes: [42] }), { message: "exit code: 0" });
    });

    test("a signal counts as 128 + its number", async () => {
      await assert.rejects(run("sh -c 'kill -9 $$'; exit $?"), { exitCode: 137 });
      await assert.rejects(run("trap 'exit 7' TERM; kill -TERM $$; exit 3"), { exitCode: 7 });
    });

    test("a program that is missing fails like a step", async () => {
      await assert.rejects(run("", { args: ["/no/such/program"] }), { name: "ExecFailedError" });
    });

    test("abort kills the whole container and leaves nothing", async () => {
      const abort = new AbortController();
      let started: () => void = () => {};
      const running = new Promise<void>((resolve) => {
        started = resolve;
      });
      const done = subject.executor.run(
        process("trap '' TERM INT; for i in 1 2 3; do sleep 1000 & done; echo up; wait"),
        { stdout: () => started(), stderr: () => {} },
        abort.signal,
      );
      await running;
      assert.notDeepEqual(subject.leftovers(), []);
      abort.abort();
      await assert.rejects(done, { code: 1, message: "exit code: 137: context canceled" });
      assert.deepEqual(subject.leftovers(), []);
    });

    test("abort ends a container whose output nobody takes", async () => {
      const abort = new AbortController();
      const done = subject.executor.run(
        process("yes"),
        {
          stdout: () => {
            abort.abort();
            return new Promise<void>(() => {});
          },
          stderr: () => {},
        },
        abort.signal,
      );
      await assert.rejects(done, { code: 1 });
      assert.deepEqual(subject.leftovers(), []);
    });

    test("abort before the start runs nothing", async () => {
      await assert.rejects(run("touch /aborted", {}, AbortSignal.abort()));
      assert.equal(existsSync(join(rootfs, "aborted")), false);
    });

    test("abort at any moment leaves nothing", async () => {
      for (const delay of [0, 2, 5, 10, 20, 40]) {
        const abort = new AbortController();
        const done = run("sleep 1000", {}, abort.signal);
        setTimeout(() => abort.abort(), delay);
        await assert.rejects(done);
      }
      assert.deepEqual(subject.leftovers(), []);
    });

    test("a callback that throws ends the step", async () => {
      const done = subject.executor.run(
        process("yes"),
        {
          stdout: () => {
            throw new Error("disk full");
          },
          stderr: () => {},
        },
        new AbortController().signal,
      );
      await assert.rejects(done, { message: "disk full" });
      assert.deepEqual(subject.leftovers(), []);
    });

    test("large output waits for its consumer and arrives whole", async () => {
      let bytes = 0;
      let inside = 0;
      await subject.executor.run(
        process("head -c 20000000 /dev/zero"),
        {
          stdout: async (data) => {
            assert.equal(++inside, 1);
            await new Promise((resolve) => setImmediate(resolve));
            bytes += data.length;
            inside--;
          },
          stderr: () => {},
        },
        new AbortController().signal,
      );
      assert.equal(bytes, 20_000_000);
    });

    test("stdin is fed to its end", async () => {
      async function* stdin() {
        yield Buffer.from("one\n");
        yield Buffer.from("two\n");
      }
      let text = "";
      await subject.executor.run(
        process("cat; echo end"),
        {
          stdin: stdin(),
          stdout: (data) => {
            text += Buffer.from(data).toString();
          },
          stderr: () => {},
        },
        new AbortController().signal,
      );
      assert.equal(text, "one\ntwo\nend\n");
      assert.equal((await run("cat; echo end")).stdout, "end\n");
    });

    test("tty gives a terminal", async () => {
      let typed: (data: Uint8Array) => void = () => {};
      const input = new Promise<Uint8Array>((resolve) => {
        typed = resolve;
      });
      async function* stdin() {
        yield await input;
      }
      let text = "";
      const usage = await subject.executor.run(
        process("test -t 0 && test -t 1 && test -t 2 && echo ready; read line; echo got $line", { tty: true }),
        {
          stdin: stdin(),
          stdout: (data) => {
            text += Buffer.from(data).toString();
            if (text.includes("ready")) typed(Buffer.from("words\n"));
          },
          stderr: () => {},
        },
        new AbortController().signal,
      );
      assert.equal(usage.exitCode, 0);
      assert.equal(text, "ready\r\nwords\r\ngot words\r\n");
      await assert.rejects(run("exit 5", { tty: true }), { exitCode: 5 });
    });

    test("environment is as given, the last of two values wins", async () => {
      const { stdout } = await run("env | grep -v ^SHLVL | sort", { env: ["PATH=/bin", "A=1", "HOME=/x", "A=2 3"] });
      assert.equal(stdout, "A=2 3\nHOME=/x\nPATH=/bin\nPWD=/\n");
    });

    test("working directory is made, owned by the user", async () => {
      const { stdout } = await run("pwd; stat -c '%u:%g %a' . ..", { cwd: "/srv/app", user: "alice" });
      assert.equal(stdout, "/srv/app\n1000:1000 755\n1000:1000 755\n");
      assert.equal(statSync(join(rootfs, "srv/app")).uid, 1000);
    });

    test("users are looked up in the root", async () => {
      const who = "id -u; id -g; grep ^Groups /proc/self/status";
      assert.equal((await run(who)).stdout, "0\n0\nGroups:\t0 \n");
      assert.equal((await run(who, { user: "alice" })).stdout, "1000\n1000\nGroups:\t10 50 1000 \n");
      assert.equal((await run(who, { user: "bob:alice" })).stdout, "1001\n1000\nGroups:\t1000 \n");
      assert.equal((await run(who, { user: "5000:6000" })).stdout, "5000\n6000\nGroups:\t6000 \n");
      await assert.rejects(run(who, { user: "carol" }), {
        message: "unable to find user carol: no matching entries in passwd file",
      });
      await assert.rejects(run(who, { user: "alice:nogroup" }), {
        message: "unable to find group nogroup: no matching entries in group file",
      });
    });

    test("a read-only root stays as it is", async () => {
      const { stderr } = await run("touch /made || true", { rootReadonly: true });
      assert.match(stderr, /Read-only file system/);
      assert.equal(existsSync(join(rootfs, "made")), false);
    });

    test("mounts are shown in order and their stubs go again", async () => {
      const source = join(directory, "mounted");
      mkdirSync(join(source, "sub"), { recursive: true });
      writeFileSync(join(source, "file"), "content");
      const before = readdirSync(rootfs).sort();
      const { stdout, stderr } = await run(
        "cat /new/deep/m/file /f; touch /ro/x; echo w > /rw/w; df /t | tail -n 1 | wc -l",
        {
          mounts: [
            { type: "bind", source, destination: "/new/deep/m", options: ["rbind", "ro"] },
            { type: "bind", source: join(source, "file"), destination: "/f", options: ["rbind", "ro"] },
            { type: "bind", source, destination: "/ro", options: ["rbind", "ro"] },
            { type: "bind", source: join(source, "sub"), destination: "/rw", options: ["rbind"] },
            { type: "tmpfs", source: "tmpfs", destination: "/t", options: ["nosuid", "size=65536"] },
          ],
        },
      );
      assert.match(stdout, /^contentcontent/);
      assert.match(stderr, /Read-only file system/);
      assert.equal(readFileSync(join(source, "sub/w"), "utf8"), "w\n");
      const systemDirectories = ["dev", "proc", "sys"];
      assert.deepEqual(readdirSync(rootfs).sort(), [...new Set([...before, ...systemDirectories])].sort());
      assert.deepEqual(readdirSync(join(rootfs, "etc")).sort(), ["group", "passwd"]);
    });

    test("stubs that the step filled stay", async () => {
      await run("umount /x 2>/dev/null; true", {
        removeMountStubsRecursive: false,
        mounts: [{ type: "tmpfs", source: "tmpfs", destination: "/kept/inner", options: [] }],
      });
      assert.deepEqual(readdirSync(join(rootfs, "kept")), []);
      rmSync(join(rootfs, "kept"), { recursive: true });
    });

    test("hosts and resolv.conf are generated and read-only", async () => {
      const { stdout, stderr } = await run(
        "cat /etc/hosts; grep -c nameserver /etc/resolv.conf; echo x >> /etc/hosts; hostname",
        {
          hostname: "box",
          extraHosts: [{ host: "db", ip: "10.1.2.3" }],
        },
      );
      assert.match(
        stdout,
        /^127\.0\.0\.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n10\.1\.2\.3\tdb\n[1-9]\nbox\n$/,
      );
      assert.match(stderr, /Read-only file system/);
      assert.equal((await run("hostname")).stdout, "buildkitsandbox\n");
    });

    test("network none has loopback and nothing else", async () => {
      const { stdout } = await run("ls /sys/class/net; ip addr show lo | grep -c 127.0.0.1; ip route | wc -l", {
        network: "none",
      });
      assert.equal(stdout, "lo\n1\n0\n");
      const { stdout: namespace } = await run("readlink /proc/self/ns/net", { network: "host" });
      assert.equal(namespace.trim(), readlinkSync("/proc/self/ns/net"));
    });

    test("the sandbox has Docker's capabilities, seccomp, its own processes and no way to write to the kernel", async () => {
      const { stdout } = await run(
        "grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status; echo $$",
      );
      assert.equal(
        stdout,
        [
          "CapInh:\t0000000000000000",
          "CapPrm:\t00000000a80425fb",
          "CapEff:\t00000000a80425fb",
          "CapBnd:\t00000000a80425fb",
          "CapAmb:\t0000000000000000",
          "NoNewPrivs:\t0",
          "Seccomp:\t2",
          "1",
          "",
        ].join("\n"),
      );
      const denied = await run(
        "mount -t tmpfs t /home && echo mounted; unshare -U true && echo unshared; echo 1 > /proc/sys/kernel/panic && echo wrote; cat /proc/kcore | head -c 1 | wc -c; for d in $(awk '$3 ~ /^cgroup/ { print $2 }' /proc/mounts); do mkdir $d/x && echo cgroup; done; true",
      );
      assert.equal(denied.stdout, "0\n");
    });

    test("insecure lifts the sandbox", async () => {
      const { stdout } = await run(
        "grep ^Seccomp: /proc/self/status; mount -t tmpfs t /home && echo mounted; test -c /dev/fuse && test -b /dev/loop0 && echo devices",
        { security: "insecure" },
      );
      assert.equal(stdout, "Seccomp:\t0\nmounted\ndevices\n");
    });

    test("ulimits are set", async () => {
      const { stdout } = await run("ulimit -Sn; ulimit -Hn", { ulimits: [{ name: "nofile", soft: 100, hard: 200 }] });
      assert.equal(stdout, "100\n200\n");
    });

    test("memory is limited, and running out of it is said", async () => {
      const limits = { memorySwap: 0, cpuShares: 0, cpuPeriod: 0, cpuQuota: 0, cpusetCpus: "", cpusetMems: "" };
      await assert.rejects(
        run("yes | tr -d '\\n' | tail -c 200000000 > /dev/null; exit $?", {
          resources: { ...limits, memory: 20 << 20 },
        }),
        (error) => error instanceof ExecFailedError && error.message === "cannot allocate memory",
      );
    });

    test("many containers run at once", async () => {
      // Each with a root of its own, as steps have: the first to end removes mount points that were missing.
      const start = (_: unknown, i: number) =>
        run(`echo ${i}`, { rootfs: makeBusyboxRootfs(join(directory, `many-${i}`)) });
      const results = await Promise.all(Array.from({ length: 8 }, start));
      assert.deepEqual(
        results.map((result) => result.stdout),
        Array.from({ length: 8 }, (_, i) => `${i}\n`),
      );
    });

    /** Calls `use` with a container that is up; its first process is killed afterwards. */
    const inContainer = async (use: (id: string) => Promise<void>, change: Partial<ContainerProcess> = {}) => {
      const container = process("echo up; sleep 1000", change);
      const abort = new AbortController();
      const up = Promise.withResolvers<void>();
      const done = subject.executor.run(container, { stdout: () => up.resolve(), stderr: () => {} }, abort.signal);
      try {
        await Promise.race([up.promise, done]);
        await use(container.id);
      } finally {
        abort.abort();
        await assert.rejects(done, { message: "exit code: 137: context canceled" });
      }
      assert.deepEqual(subject.leftovers(), []);
    };

    const exec = async (
      container: string,
      script: string,
      change: Partial<AdditionalProcess> = {},
      io: Partial<ProcessIo> = {},
      signal: AbortSignal = new AbortController().signal,
    ): Promise<string> => {
      let output = "";
      const keep = (data: Uint8Array) => {
        output += Buffer.from(data).toString();
      };
      const args = ["/bin/sh", "-c", script];
      const joined = { args, env: ["PATH=/bin"], cwd: "/", user: "", tty: false, ...change };
      await subject.executor.exec(container, joined, { stdout: keep, stderr: keep, ...io }, signal);
      return output;
    };

    test("exec() joins a container with an environment and directory of its own", () =>
      inContainer(
        async (id) => {
          const script = "tr '\\0' ' ' < /proc/1/cmdline; hostname; echo $A; pwd; id -u";
          const both = { env: ["PATH=/bin", "A=b"], cwd: "/home/alice" };
          assert.match(await exec(id, script, both), /sleep 1000.*shared\nb\n\/home\/alice\n1000\n$/s);
          assert.equal(await exec(id, "id -u", { user: "root" }), "0\n");
          assert.equal(await exec(id, "cat", {}, { stdin: chunks("in", "put") }), "input");
        },
        { user: "1000", hostname: "shared" },
      ));

    test("exec() rejects with the exit code; the container goes on", () =>
      inContainer(async (id) => {
        await assert.rejects(exec(id, "exit 42"), { name: "ExecFailedError", exitCode: 42 });
        await assert.rejects(exec(id, "", { args: ["/no/such/program"] }), { name: "ExecFailedError" });
        const abort = new AbortController();
        const killed = exec(id, "echo up; sleep 1000", {}, { stdout: () => abort.abort() }, abort.signal);
        await assert.rejects(killed, { code: 1, message: "exit code: 137: context canceled" });
        assert.equal(await exec(id, "echo still here"), "still here\n");
      }));

    test("exec() ends with its container, and cannot join one that is gone", async () => {
      let joined: Promise<string> | undefined;
      let container = "";
      await inContainer(async (id) => {
        container = id;
        const up = Promise.withResolvers<void>();
        joined = exec(id, "echo up; sleep 1000", {}, { stdout: () => up.resolve() });
        joined.catch(() => {});
        await up.promise;
      });
      await assert.rejects(joined ?? Promise.resolve(), { exitCode: 137 });
      await assert.rejects(exec(container, "true"), { message: `container ${container} not found` });
    });

    test("signals reach a process, also one that is only about to run", () =>
      inContainer(async (id) => {
        let control: ProcessControl | undefined;
        const io = {
          onStarted: (started: ProcessControl) => {
            control = started;
          },
          stdout: () => control?.signal(constants.signals.SIGTERM),
        };
        const trapping = exec(id, "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done", {}, io);
        await assert.rejects(trapping, { exitCode: 7 });
        const early = { onStarted: (started: ProcessControl) => started.signal(constants.signals.SIGKILL) };
        await assert.rejects(exec(id, "sleep 1000", {}, early), { exitCode: 137 });
      }));

    test("terminals are resized", () =>
      inContainer(async (id) => {
        let control: ProcessControl | undefined;
        const io = {
          onStarted: (started: ProcessControl) => {
            control = started;
            control.resize({ rows: 33, columns: 77 });
          },
        };
        // Before it has a size, stty complains.
        const script = "until stty size 2>/dev/null | grep -q '33 77'; do sleep 0.01; done; tty; echo done";
        assert.match(await exec(id, script, { tty: true }, io), /^\/dev\/pts\/\d+\r\ndone\r\n$/);
      }));

    test("nothing is left", () => assert.deepEqual(subject.leftovers(), []));
  });
}

async function* chunks(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}
