import assert from "node:assert/strict";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type ExecOp, type Mount, MountType, type NetMode, Op, type SecurityMode } from "../../../src/api/gen/ops.ts";
import type { BuildError } from "../../../src/core/errors/build-error.ts";
import { exitCodeOf } from "../../../src/core/errors/exec-failed-error.ts";
import { StepFailedError } from "../../../src/core/errors/step-failed-error.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import type { LayerId, Ref } from "../../../src/core/values/layer.ts";
import { hostPlatform } from "../../../src/core/values/platform.ts";
import { noResources } from "../../../src/core/values/resources.ts";
import type { TaskBody } from "../../../src/core/values/task.ts";
import { CdiRegistry, Cgroups, findRuntime, OciExecutor } from "../../../src/executor/index.ts";
import { ProcessSpawner } from "../../../src/util/process/index.ts";
import { systemClock } from "../../../src/util/system-clock.ts";
import { Emulators } from "../../../src/worker-agent/emulation/index.ts";
import { CacheMountStore, MountArea, stepLogLimits } from "../../../src/worker-agent/ops/exec/index.ts";
import { ExecOpRunner } from "../../../src/worker-agent/ops/exec-op.ts";
import { makeBusyboxRootfs } from "../../helpers/busybox-rootfs.ts";
import { DirectoryLayers } from "../../helpers/directory-layers.ts";
import { type FakeClient, fakeSessions } from "../../helpers/fake-sessions.ts";

interface Change {
  readonly exec?: Partial<ExecOp>;
  readonly meta?: Partial<NonNullable<ExecOp["meta"]>>;
  /** Besides the root, which is input 0 and output 0. */
  readonly mounts?: readonly Partial<Mount>[];
  readonly inputs?: readonly Ref[];
  readonly client?: FakeClient;
  readonly session?: string;
  readonly body?: Partial<TaskBody<"exec">>;
  readonly signal?: AbortSignal;
}

describe("ExecOpRunner", () => {
  const cgroupParent = `buildfleet-test/exec-${process.pid}`;
  let directory: string;
  let layers: DirectoryLayers;
  let spawner: ProcessSpawner;
  let executor: OciExecutor;
  let runner: ExecOpRunner;
  let cacheMounts: CacheMountStore;
  let base: LayerId;
  let files: LayerId;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "exec-op-"));
    layers = new DirectoryLayers(join(directory, "layers"));
    spawner = new ProcessSpawner();
    cacheMounts = await CacheMountStore.open({ directory: join(directory, "cachemounts"), clock: systemClock });
    executor = new OciExecutor({ runtime: findRuntime(), root: join(directory, "executor"), spawner, cgroupParent });
    runner = new ExecOpRunner({
      executor,
      spawner,
      area: new MountArea(join(directory, "mounts")),
      devices: new CdiRegistry({ directories: [], autoAllowed: [], logger: silentLogger }),
      emulators: await Emulators.open({
        directory: join(directory, "emulation"),
        logger: silentLogger,
        searchPath: "",
      }),
      cacheMounts,
      copier: { fetch: async () => undefined },
      logLimits: stepLogLimits({}),
    });
    base = layers.add();
    makeBusyboxRootfs(layers.path(base));
    files = layers.add();
    mkdirSync(join(layers.path(files), "a/sub"), { recursive: true });
    writeFileSync(join(layers.path(files), "a/1"), "one");
    writeFileSync(join(layers.path(files), "a/sub/deep"), "deep");
    symlinkSync("/a/1", join(layers.path(files), "absolute"));
    symlinkSync("../../../../etc", join(layers.path(files), "escape"));
  });
  after(async () => {
    await executor[Symbol.asyncDispose]();
    await spawner[Symbol.asyncDispose]();
    const cgroups = new Cgroups();
    for (const path of [`${cgroupParent}/buildkit`, cgroupParent, "buildfleet-test"]) cgroups.remove(path);
    rmSync(directory, { recursive: true, force: true });
  });

  const { signal } = new AbortController();
  const step = async (script: string, change: Change = {}) => {
    const op = Op.fromPartial({
      inputs: [{ digest: "sha256:0", index: 0 }],
      op: {
        $case: "exec",
        value: {
          ...change.exec,
          meta: {
            args: ["/bin/sh", "-c", script],
            env: ["PATH=/bin"],
            cwd: "/",
            removeMountStubsRecursive: true,
            ...change.meta,
          },
          mounts: [{ input: 0, dest: "/", output: 0 }, ...(change.mounts ?? [])],
        },
      },
    });
    let log = "";
    const result = await runner
      .run(
        {
          id: "task",
          leaseId: "lease",
          kind: "exec",
          body: {
            op: Op.encode(op).finish(),
            inputs: [{ layers: [base] }, ...(change.inputs ?? [{ layers: [files] }])],
            platform: hostPlatform(),
            entitlements: [],
            cacheMounts: [],
            description: "step",
            ...change.body,
          },
          layers: [],
          cacheMounts: [],
          peers: {},
          sessionIds: [],
          demand: noResources,
          coordinator: { id: "", address: "", token: "" },
        },
        {
          signal: change.signal ?? new AbortController().signal,
          sessions: fakeSessions(change.client ?? {}, change.session),
          progress: {
            status: () => {},
            warn: () => {},
            log: (_, data) => {
              log += Buffer.from(data).toString();
            },
          },
          logger: silentLogger,
          layers,
        },
      )
      .finally(() => {
        assert.equal(layers.open, 0, "a mount of a layer is left");
        assert.deepEqual(readdirSync(join(directory, "mounts")), [], "a mount point is left");
      });
    const top = (output: number) => layers.path(result.outputs[output]?.layers.at(-1) ?? ("" as LayerId));
    return { ...result, log, top };
  };

  test("what a step wrote is one layer, without stubs", async () => {
    const {
      outputs,
      layers: born,
      top,
      log,
      usage,
    } = await step("echo hi; echo x > /made; rm /etc/group", {
      mounts: [{ dest: "/deep/down", input: -1, output: -1, mountType: MountType.TMPFS }],
    });
    assert.equal(log, "hi\n");
    assert.equal(usage.exitCode, 0);
    assert.equal(outputs[0]?.layers.length, 2);
    assert.equal(born[0]?.description, "mount / from exec /bin/sh -c echo hi; echo x > /made; rm /etc/group");
    assert.equal(readFileSync(join(top(0), "made"), "utf8"), "x\n");
    assert.ok(lstatSync(join(top(0), "etc/group")).isCharacterDevice());
    assert.deepEqual(readdirSync(join(top(0), "etc")), ["group"]);
    assert.ok(!readdirSync(top(0)).includes("deep"));
  });

  test("a failed step has BuildKit's message and no result", async () => {
    await assert.rejects(step('echo "a"; exit 3'), (error: BuildError) => {
      const message = 'process "/bin/sh -c echo \\"a\\"; exit 3" did not complete successfully: exit code: 3';
      assert.deepEqual([error.message, exitCodeOf(error)], [message, 3]);
      return true;
    });
    await assert.rejects(step("true", { meta: { user: "nobody" } }), {
      message:
        'process "/bin/sh -c true" did not complete successfully: unable to find user nobody: no matching entries in passwd file',
    });
    await assert.rejects(step("true", { meta: { args: [] } }));
  });

  test("a failed step leaves what lay at its mounts", async () => {
    const failed = await step("echo 1 > /root-file; echo 2 > /m1/a; echo 3 > /unwanted/b; echo 4 > /cache/c; exit 1", {
      mounts: [
        { dest: "/m1", input: -1, output: 1 },
        { dest: "/unwanted", input: 1, output: -1 },
        { dest: "/ro", input: 1, output: -1, readonly: true },
        { dest: "/cache", input: -1, output: -1, mountType: MountType.CACHE, cacheOpt: { ID: "failed", sharing: 0 } },
        { dest: "/tmpfs", input: -1, output: -1, mountType: MountType.TMPFS },
      ],
    }).catch((error: unknown) => error);
    assert.ok(failed instanceof StepFailedError, String(failed));
    const { results, layers: made } = failed.state;
    assert.equal(made.length, 3);
    const files = results.map((ref) => ref && readdirSync(layers.path(ref.layers.at(-1) ?? ("" as LayerId))));
    assert.ok(files[0]?.includes("root-file"));
    assert.deepEqual(files.slice(1), [["a"], ["b"], null, null, null]);
    assert.equal(results[2]?.layers.length, 2);
  });

  test("a step with a mode that does not exist fails as BuildKit's does", async () => {
    const failed = 'process "/bin/sh -c true" did not complete successfully';
    await assert.rejects(step("true", { exec: { network: 9 as NetMode } }), {
      message: `${failed}: unknown network mode 9`,
    });
    await assert.rejects(step("true", { exec: { security: 9 as SecurityMode } }), {
      message: `${failed}: invalid security mode 9`,
    });
  });

  test("outputs are in the order of the mounts", async () => {
    const { outputs, top } = await step("echo 1 > /m1/a; echo 2 > /m2/b", {
      mounts: [
        { dest: "/m2", input: -1, output: 2 },
        { dest: "/m1", input: -1, output: 1 },
      ],
    });
    assert.equal(outputs.length, 3);
    assert.deepEqual(readdirSync(top(1)), ["b"]);
    assert.deepEqual(readdirSync(top(2)), ["a"]);
  });

  test("binds show inputs and parts of them, links resolved inside", async () => {
    const bind = (dest: string, selector: string, readonly = true) => ({
      dest,
      selector,
      input: 1,
      output: -1,
      readonly,
    });
    const { log } = await step("cat /m/a/1 /f /abs /s/deep; echo; touch /m/x; touch /w/x && ls /w; ls /esc", {
      mounts: [
        bind("/m", ""),
        bind("/f", "/a/1"),
        bind("/abs", "absolute"),
        bind("/s", "a/sub"),
        bind("/w", "a", false),
      ],
    }).catch((error) => ({ log: String(error) }));
    assert.match(log, /exit code: 1/);
    const { log: shown } = await step("cat /m/a/1 /f /abs /s/deep; echo; touch /m/x 2>&1; touch /w/x && ls /w", {
      mounts: [
        bind("/m", ""),
        bind("/f", "/a/1"),
        bind("/abs", "absolute"),
        bind("/s", "a/sub"),
        bind("/w", "a", false),
      ],
    });
    assert.equal(shown, "oneoneonedeep\ntouch: /m/x: Read-only file system\n1\nsub\nx\n");
    assert.deepEqual(readdirSync(join(layers.path(files), "a")).sort(), ["1", "sub"]);
    await assert.rejects(step("true", { mounts: [bind("/m", "/escape")] }), {
      message: "open /escape: no such file or directory",
    });
    await assert.rejects(step("true", { mounts: [bind("/m", "/nope")] }), {
      message: "open /nope: no such file or directory",
    });
  });

  test("a read-only bind with an output gives its input back", async () => {
    const { outputs } = await step("true", { mounts: [{ dest: "/m", input: 1, output: 1, readonly: true }] });
    assert.deepEqual(outputs[1], { layers: [files] });
  });

  test("cache mounts outlive steps, start from an input, and may be given away after a success only", async () => {
    const cache = (input = -1, selector = "") => [
      {
        dest: "/c",
        input,
        selector,
        output: -1,
        mountType: MountType.CACHE,
        cacheOpt: { ID: "id", sharing: 0 as const },
      },
    ];
    await step("echo kept > /c/f", { mounts: cache(), session: "one" });
    const again = await step("cat /c/f", { mounts: cache() });
    assert.equal(again.log, "kept\n");
    assert.equal(again.cacheMounts.length, 1);
    const entryId = again.cacheMounts[0]?.entryId ?? "";
    {
      using reading = await cacheMounts.read(entryId, signal);
      assert.equal(reading.version, again.cacheMounts[0]?.version);
    }
    await assert.rejects(step("echo broken > /c/f; exit 1", { mounts: cache() }));
    await assert.rejects(cacheMounts.read(entryId, signal), /was left by a step that failed/);
    assert.equal((await step("cat /c/f", { mounts: cache() })).log, "broken\n");
    assert.equal((await step("cat /c/deep; touch /c/new", { mounts: cache(1, "/a/sub") })).log, "deep");
    assert.equal((await step("ls /c", { mounts: cache(1, "/a/sub") })).log, "deep\nnew\n");
    assert.deepEqual(
      (await cacheMounts.list())
        .map((record) => record.description)
        .sort()[0]
        ?.slice(0, 44),
      "cached mount /c from exec /bin/sh -c cat /c/",
    );
  });

  test("secrets are files on a tmpfs of their own, and stars in the log", async () => {
    const secretOpt = { ID: "token", uid: 1000, gid: 50, mode: 0o440, optional: false };
    const mounts = [{ dest: "/run/s", input: -1, output: -1, mountType: MountType.SECRET, secretOpt }];
    const client = { secrets: { token: "hunter22" } };
    const { log, top } = await step("stat -c '%a %u %g' /run/s; cat /run/s; grep ' /run/s ' /proc/mounts", {
      mounts,
      client,
    });
    assert.match(log, /^440 1000 50\n\*\*\*tmpfs \/run\/s tmpfs ro,nosuid,nodev,noexec,/);
    assert.ok(!readdirSync(top(0)).includes("run"));
    await assert.rejects(step("true", { mounts }), { code: 2, message: "secret token: not found" });
    const optional = [{ ...mounts[0], secretOpt: { ...secretOpt, optional: true } }];
    assert.equal((await step("test -e /run/s || echo none", { mounts: optional })).log, "none\n");
  });

  test("secrets in the environment", async () => {
    const secretenv = [{ ID: "token", name: "TOKEN", optional: false }];
    const client = { secrets: { token: "hunter22" } };
    const { log } = await step("test $TOKEN = hunter22 && echo same; echo $TOKEN", { exec: { secretenv }, client });
    assert.equal(log, "same\n***\n");
    await assert.rejects(step("true", { exec: { secretenv } }), { message: "secret token: not found" });
    const optional = [{ ID: "token", name: "TOKEN", optional: true }];
    assert.equal((await step("env | grep ^TOKEN", { exec: { secretenv: optional } })).log, "TOKEN=\n");
  });

  test("ssh agents show as a socket", async () => {
    const SSHOpt = { ID: "key", uid: 0, gid: 0, mode: 0o600, optional: false };
    const mounts = [{ dest: "/run/ssh", input: -1, output: -1, mountType: MountType.SSH, SSHOpt }];
    const { log, top } = await step("stat -c '%F %a' /run/ssh", { mounts, client: { ssh: (_, data) => data } });
    assert.equal(log, "socket 600\n");
    assert.ok(!readdirSync(top(0)).includes("run"));
    await assert.rejects(step("true", { mounts }), { message: 'no SSH key "key" forwarded from the client' });
    const optional = [{ ...mounts[0], SSHOpt: { ...SSHOpt, optional: true } }];
    assert.equal((await step("test -e /run/ssh || echo none", { mounts: optional })).log, "none\n");
  });

  test("what opens the host needs an entitlement", async () => {
    await assert.rejects(step("true", { exec: { network: 1 } }), { message: "network.host is not allowed" });
    await assert.rejects(step("true", { exec: { security: 1 } }), { message: "security.insecure is not allowed" });
    await step("true", { exec: { network: 1 }, body: { entitlements: ["network.host"] } });
  });

  test("proxies are set in both spellings, PATH when absent", async () => {
    const proxyEnv = { httpProxy: "http://p", httpsProxy: "", ftpProxy: "", noProxy: "x", allProxy: "" };
    const { log } = await step("/bin/env | /bin/grep -E 'proxy|PROXY|PATH' | /bin/sort", {
      meta: { env: [], proxyEnv },
    });
    assert.equal(
      log,
      "HTTP_PROXY=http://p\nNO_PROXY=x\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nhttp_proxy=http://p\nno_proxy=x\n",
    );
  });

  test("a step for another platform may run programs of this machine", async () => {
    const platform = { ...hostPlatform(), architecture: "loong64" };
    const { log } = await step("echo ran", { body: { platform } });
    assert.equal(log, "ran\n");
  });

  test("abort leaves no mounts", async () => {
    await assert.rejects(
      step("sleep 1000", { signal: AbortSignal.timeout(100), mounts: [{ dest: "/m", input: 1, output: -1 }] }),
    );
  });
});
