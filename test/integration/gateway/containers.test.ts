import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, afterEach, before, describe, it } from "node:test";
import * as gateway from "../../../src/api/gen/gateway.ts";
import { Mount, MountType, NetMode, SecurityMode } from "../../../src/api/gen/ops.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { FileAction, image, type State, scratch } from "../../../src/llb/builder/index.ts";
import { type BuildClient, Sandbox, type SandboxOptions } from "../../helpers/sandbox/index.ts";
import { GatewayBuild, type TestProcess } from "./gateway-build.ts";

const kinds: readonly (readonly [string, SandboxOptions])[] = [
  ["a standalone daemon", { standalone: true }],
  ["a fleet", { agents: 2, namespaces: true }],
];

for (const [kind, options] of kinds) {
  describe(`containers of a frontend on ${kind}`, () => {
    let sandbox: Sandbox;
    let client: BuildClient;
    let base: State;

    before(async () => {
      sandbox = await Sandbox.start(options);
      client = await sandbox.connect();
      base = image(sandbox.image());
    });
    afterEach(() => sandbox.idle());
    after(() => sandbox?.[Symbol.asyncDispose]());

    it("run a first process and others beside it", async () => {
      await using build = new GatewayBuild(client.grpc);
      const container = await build.container(await build.ref(base), { hostname: "here" });
      await using processes = build.processes();
      const init = processes.start(container, ["cat"], { fds: [0, 1, 2] });
      const writer = processes.start(
        container,
        ["sh", "-c", "hostname; id -u; pwd; echo $K > /tmp/file; echo no >&2"],
        {
          env: ["PATH=/bin", "K=value"],
          cwd: "/home",
          user: "alice",
        },
      );
      assert.equal(await writer.text(), "here\n1000\n/home\n");
      assert.equal(writer.stderr, "no\n");
      assert.deepEqual(await writer.exit, { Code: 0, Error: undefined });
      assert.deepEqual(writer.seen, ["Started", "File", "Exit", "Done"]);
      const reader = processes.start(container, ["cat", "/tmp/file"]);
      assert.equal(await reader.text(), "value\n");
      await init.write("one ");
      await init.write("two");
      await init.end();
      assert.equal(await init.text(), "one two");
      await build.release(container);
      await build.finish();
    });

    it("tell how a process ended", async () => {
      await using build = new GatewayBuild(client.grpc);
      const container = await build.container(await build.ref(base));
      await using processes = build.processes();
      const init = processes.start(container, ["sleep", "1000"]);
      const code = async (process: TestProcess) => (await process.exit).Code;
      assert.equal(await code(processes.start(container, ["sh", "-c", "exit 7"])), 7);
      const trapping = processes.start(container, [
        "sh",
        "-c",
        "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done",
      ]);
      for await (const line of trapping.output) {
        assert.equal(Buffer.from(line).toString(), "ready\n");
        break;
      }
      await trapping.signal("SIGTERM");
      assert.equal(await code(trapping), 9);
      const missing = await processes.start(container, ["/no/such/program"]).exit;
      assert.notEqual(missing.Code, 0);
      const bystander = processes.start(container, ["sh", "-c", "echo up; sleep 1000"]);
      for await (const _ of bystander.output) break;
      await init.signal("SIGKILL");
      const { Code: killed, Error: error } = await init.exit;
      assert.equal(killed, 137);
      assert.equal(error?.message, "exit code: 137");
      assert.equal(await code(bystander), 137);
      const late = await processes.start(container, ["true"]).exit;
      assert.equal(late.Code, 255);
      await assert.rejects(build.release(container), { message: "exit code: 7" });
    });

    it("have a terminal with the size of the user's", async () => {
      await using build = new GatewayBuild(client.grpc);
      const container = await build.container(await build.ref(base));
      await using processes = build.processes();
      const shell = processes.start(container, ["sh"], { tty: true, fds: [0, 1], env: ["PATH=/bin", "PS1=% "] });
      let text = "";
      const until = async (wanted: string) => {
        for (; !text.includes(wanted); ) {
          const { value, done } = await output.next();
          if (done === true) throw new Error(`ended without ${wanted}: ${text}`);
          text += Buffer.from(value).toString();
        }
        text = "";
      };
      const output = shell.output[Symbol.asyncIterator]();
      await until("% ");
      await shell.resize(40, 100);
      // The size travels by a signal: asked for until it has come.
      await shell.write("until busybox stty size | grep '40 100'; do sleep 0.1; done; echo so it $TERM\n");
      await until("so it xterm");
      await shell.write("exit 5\n");
      for (let next = await output.next(); next.done !== true; ) next = await output.next();
      assert.equal((await shell.exit).Code, 5);
    });

    it("carry much, at the reader's pace", async () => {
      await using build = new GatewayBuild(client.grpc);
      const container = await build.container(await build.ref(base));
      await using processes = build.processes();
      const data = randomBytes(12 << 20);
      const echo = processes.start(container, ["cat"], { fds: [0, 1] });
      const writing = (async () => {
        const messageBytes = 3 << 20;
        for (let at = 0; at < data.length; at += messageBytes) await echo.write(data.subarray(at, at + messageBytes));
        await echo.end();
      })();
      const hash = createHash("sha256");
      let bytes = 0;
      for await (const part of echo.output) {
        bytes += part.length;
        hash.update(part);
      }
      await writing;
      assert.equal(bytes, data.length);
      assert.equal(hash.digest("hex"), createHash("sha256").update(data).digest("hex"));
      // Nobody reads what this one says, nor does it read; releasing the container ends it all the same.
      const deaf = await build.container(await build.ref(base));
      await using others = build.processes();
      const endless = others.start(deaf, ["yes"], { fds: [0, 1] });
      await endless.write(randomBytes(64 << 10));
      await assert.rejects(build.release(deaf), { message: /context canceled/ });
    });

    it("show their mounts, and lose what is written there", async () => {
      await using build = new GatewayBuild(client.grpc);
      const source = scratch().file(FileAction.none.mkdir("/dir", 0o755).mkfile("/dir/file", 0o644, "of source"));
      const [root, files] = [await build.ref(base), await build.ref(source)];
      const mounts = [
        Mount.fromPartial({ dest: "/fixed", resultID: files, readonly: true }),
        Mount.fromPartial({ dest: "/part", resultID: files, selector: "/dir" }),
        Mount.fromPartial({ dest: "/memory", mountType: MountType.TMPFS }),
        Mount.fromPartial({ dest: "/empty" }),
      ];
      const container = await build.container(root, { Mounts: mounts });
      await using processes = build.processes();
      const script = `cat /fixed/dir/file; ls /empty; if touch /fixed/x 2>/dev/null; then exit 3; fi
        echo new | tee /part/new /memory/new /empty/new /new; ln -s /etc/passwd /empty/link; head -c 20000000 /dev/zero > /large`;
      const step = processes.start(container, ["sh", "-ec", script]);
      assert.equal(await step.text(), "of sourcenew\n");
      assert.equal((await step.exit).Code, 0, step.stderr);

      const read = (MountIndex: number, FilePath: string) =>
        build.call("ReadFileContainer", gateway.ReadFileRequest, gateway.ReadFileResponse, {
          ...{ Ref: container, FilePath, MountIndex },
          Range: undefined,
        });
      assert.equal(Buffer.from((await read(0, "/new")).Data).toString(), "new\n");
      assert.equal(Buffer.from((await read(2, "/new")).Data).toString(), "new\n");
      assert.equal(Buffer.from((await read(1, "/dir/file")).Data).toString(), "of source");
      await assert.rejects(read(0, "/large"), { code: Code.ResourceExhausted });
      await assert.rejects(read(9, "/new"), { message: "mount index 9 is out of bounds (5 available)" });
      const dir = await build.call("ReadDirContainer", gateway.ReadDirRequest, gateway.ReadDirResponse, {
        ...{ Ref: container, DirPath: "/", IncludePattern: "", MountIndex: 4 },
      });
      assert.deepEqual(
        dir.entries.map(({ path }) => path),
        ["link", "new"],
      );
      const { stat } = await build.call("StatFileContainer", gateway.StatFileRequest, gateway.StatFileResponse, {
        ...{ Ref: container, Path: "/new", MountIndex: 4 },
      });
      assert.equal(stat?.size, 4);
      await build.release(container);
      await assert.rejects(read(0, "/new"), { message: `container details for ${container}@0 not found` });

      const again = processes.start(await build.container(root, { Mounts: mounts }), ["ls", "/new", "/empty", "/part"]);
      assert.equal(await again.text(), "/empty:\n\n/part:\nfile\n");
    });

    it("open the host only to builds that may", async () => {
      await using build = new GatewayBuild(client.grpc);
      const ref = await build.ref(base);
      await using processes = build.processes();
      const { Code: code, Error: error } = await processes.start(
        await build.container(ref, { Network: NetMode.HOST }),
        ["true"],
      ).exit;
      assert.equal(code, 255);
      assert.equal(error?.message, "network.host is not allowed");
      const insecure = await processes.start(await build.container(ref), ["true"], { security: SecurityMode.INSECURE })
        .exit;
      assert.equal(insecure.Error?.message, "security.insecure is not allowed");
    });

    it("are gone when the build is cancelled or its client leaves", async () => {
      const running = async (build: GatewayBuild) => {
        const processes = build.processes();
        const process = processes.start(await build.container(await build.ref(base)), [
          "sh",
          "-c",
          "echo up; sleep 1000",
        ]);
        for await (const _ of process.output) break;
        return { processes, process };
      };
      const cancelled = new GatewayBuild(client.grpc);
      await running(cancelled);
      assert.equal(sandbox.containers().length, 1);
      await cancelled[Symbol.asyncDispose]();
      await sandbox.idle();

      const leaving = await sandbox.connect();
      await running(new GatewayBuild(leaving.grpc));
      assert.equal(sandbox.containers().length, 1);
      await leaving[Symbol.asyncDispose]();
    });

    it("refuse what does not exist", async () => {
      await using build = new GatewayBuild(client.grpc);
      const ref = await build.ref(base);
      await assert.rejects(build.container("nothing"), {
        message: 'failed to find ref nothing for "/" mount: no such ref: nothing',
      });
      await assert.rejects(build.release("nothing"), { message: "container details for nothing not found" });
      const container = await build.container(ref);
      await assert.rejects(build.container(ref, { ContainerID: container }), { code: Code.AlreadyExists });
      const failing = async (input: Parameters<ReturnType<typeof build.processes>["send"]>, code: Code) => {
        await using processes = build.processes();
        await processes.send(...input);
        await assert.rejects(processes.ended, { code });
      };
      const init = gateway.InitMessage.fromPartial({ ContainerID: "nothing" });
      await failing(["p", { $case: "Init", value: init }], Code.NotFound);
      await failing(["p", { $case: "Signal", value: { Name: "SIGTERM" } }], Code.NotFound);
      await failing(["", { $case: "Signal", value: { Name: "SIGTERM" } }], Code.InvalidArgument);
    });
  });
}
