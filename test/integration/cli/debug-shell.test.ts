import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, afterEach, before, describe, it } from "node:test";
import { BuildHistoryEvent, BuildHistoryRequest, SolveRequest } from "../../../src/api/gen/control.ts";
import { ClientSession } from "../../../src/client/session/client-session.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { image, marshalState } from "../../../src/llb/builder/index.ts";
import {
  type BuildClient,
  memorySecrets,
  Sandbox,
  type SandboxOptions,
  type TestBuild,
  waitFor,
} from "../../helpers/sandbox/index.ts";
import { TerminalSession } from "../../helpers/terminal-session.ts";

const main = join(import.meta.dirname, "../../../src/cli/main.ts");

/** `buildfleet debug shell` with these arguments and a script on stdin. */
async function shell(sandbox: Sandbox, args: readonly string[], script = "") {
  const child = spawn(process.execPath, [main, "--addr", sandbox.heads[0]?.address ?? "", "debug", "shell", ...args]);
  child.stdin.end(script);
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
  return { stdout, stderr, code };
}

async function fail(sandbox: Sandbox, client: BuildClient, step: string, more: TestBuild = {}): Promise<void> {
  const dockerfile = `FROM ${sandbox.image()}\n${step}\n`;
  await assert.rejects(client.build({ ...more, dockerfile }), { message: /^failed to solve: / });
}

/** Ref of the last build. */
async function lastBuild(client: BuildClient): Promise<string> {
  await using call = client.grpc.open("/moby.buildkit.v1.Control/ListenBuildHistory");
  const request = BuildHistoryRequest.fromPartial({ EarlyExit: true, Limit: 1 });
  await call.send(BuildHistoryRequest.encode(request).finish());
  call.closeSend();
  for await (const bytes of call.messages) return BuildHistoryEvent.decode(bytes).record?.Ref ?? "";
  throw new Error("there is no build");
}

const kept = async (client: BuildClient) => {
  const records = await client.control.diskUsage([], AbortSignal.timeout(10_000));
  return records.filter(({ Description }) => Description.startsWith("failed mount"));
};

const kinds: readonly (readonly [string, SandboxOptions])[] = [
  ["a standalone daemon", { standalone: true }],
  ["a fleet", { agents: 2, namespaces: true }],
];

for (const [kind, options] of kinds) {
  describe(`buildfleet debug shell on ${kind}`, () => {
    let sandbox: Sandbox;
    let client: BuildClient;

    before(async () => {
      sandbox = await Sandbox.start(options);
      client = await sandbox.connect();
    });
    afterEach(() => sandbox.idle());
    after(() => sandbox?.[Symbol.asyncDispose]());

    it("says when there is nothing to open", async () => {
      assert.match((await shell(sandbox, [])).stderr, /^error: no build has failed$/m);
      assert.match((await shell(sandbox, ["nobody"])).stderr, /^error: no build "nobody"$/m);
      await client.build({ dockerfile: `FROM ${sandbox.image()}\n` });
      const ref = await lastBuild(client);
      const { stderr, code } = await shell(sandbox, [ref.slice(0, 12)]);
      assert.match(stderr, new RegExp(`^error: build ${ref} did not fail$`, "m"));
      assert.equal(code, 1);
    });

    it("shows a step that failed, as it left things and as it began", async () => {
      const step =
        "ENV NAME=value\nRUN mkdir /work && chown alice /work\nWORKDIR /work\nUSER alice\nRUN --mount=type=secret,id=key sh -c 'echo half > half; exit 4'";
      await fail(sandbox, client, step, { secrets: { key: "secret value" } });
      const script = "cat half; echo $NAME $(pwd) $(id -u); echo no >&2; ls /run/secrets; exit 9\n";
      const result = await shell(sandbox, [], script);
      assert.equal(result.stdout, "half\nvalue /work 1000\n", result.stderr);
      assert.equal(result.code, 9);
      assert.match(result.stderr, /exit code: 4$/m);
      assert.match(result.stderr, /without the secrets of the step \(\/run\/secrets\/key\)/);
      assert.match(result.stderr, /^no$/m);
      const agents = sandbox.agents.map(({ id }) => id);
      const agent = /as the step left it on agent (\w+)/.exec(result.stderr)?.[1] ?? "";
      assert.ok(agents.length === 0 ? agent !== "" : agents.includes(agent), result.stderr);

      assert.equal((await shell(sandbox, ["--", "cat", "half"])).stdout, "half\n");
      const before = await shell(sandbox, ["--on", "inputs", "--step", "RUN --mount", "--", "ls", "-a", "."]);
      assert.equal(before.stdout, ".\n..\n", before.stderr);
      const none = await shell(sandbox, ["--step", "COPY", "--", "true"]);
      assert.match(none.stderr, /no failed step of build \w+ matches "COPY": there is .*RUN/);
    });

    it("has the secrets of the step while their client is there", async () => {
      const services = [memorySecrets({ key: "in a file", token: "in a variable" })];
      const secrets = [
        { id: "key", target: "/run/key" },
        { id: "token", env: "TOKEN" },
      ];
      const args = ["sh", "-c", "exit 4"];
      const definition = marshalState(image(sandbox.image()).run({ args, secrets }));
      const look = () => shell(sandbox, ["--", "sh", "-c", "echo $(cat /run/key) $TOKEN"]);
      {
        await using session = new ClientSession(client.control, { services, logger: silentLogger });
        const ref = randomBytes(12).toString("hex");
        const request = SolveRequest.fromPartial({ Ref: ref, Session: session.id, Definition: definition });
        await assert.rejects(client.control.solve(request, AbortSignal.timeout(60_000)), { message: /exit code: 4$/ });
        const { stdout, stderr } = await look();
        assert.equal(stdout, "in a file in a variable\n", stderr);
      }
      const { stdout, stderr } = await look();
      assert.equal(stdout, "\n");
      assert.match(stderr, /without the secrets of the step \(\/run\/key, TOKEN\)/);
    });

    it("shows copies that failed", async () => {
      await fail(sandbox, client, "COPY there /etc/passwd/x", { context: { there: "content" } });
      const { stdout, stderr } = await shell(sandbox, ["--", "sh", "-c", "cat /.input/there; ls -d /etc/passwd"]);
      assert.equal(stdout, "content/etc/passwd\n", stderr);

      await fail(sandbox, client, "COPY missing there /", { context: { there: "content" } });
      const input = await shell(sandbox, ["--", "ls", "/.input"]);
      assert.equal(input.stdout, "there\n", input.stderr);
      assert.match(input.stderr, /the input that lacks files is at \/\.input/);
    });

    it("opens the host as the step did, and no more", async () => {
      await fail(sandbox, client, "RUN --network=none exit 3");
      const { stdout, stderr } = await shell(sandbox, ["--", "ls", "/sys/class/net"]);
      assert.equal(stdout, "lo\n", stderr);
    });

    it("is a terminal", async () => {
      await fail(sandbox, client, "RUN echo half > /half; exit 4");
      const address = sandbox.heads[0]?.address ?? "";
      await using session = new TerminalSession(process.execPath, [main, "--addr", address, "debug", "shell"]);
      session.resize(31, 91);
      await session.until("/ # ");
      // Sizes travel beside what is typed: asked for until they have come.
      const size = (wanted: string) => `until busybox stty size | grep '${wanted}'; do sleep 0.1; done`;
      await session.type(`${size("31 91")}; cat /half; echo first $TERM\n`);
      await session.until(/half\r+\nfirst xterm/);
      session.resize(40, 100);
      await session.type(`${size("40 100")}; echo second $((1+1))\n`);
      await session.until("second 2");
      await session.type("sleep 1000\n");
      await session.until("sleep 1000");
      await waitFor("sleep to run", () => sandbox.containers().some((commands) => commands.includes("sleep 1000")));
      await session.type("\x03");
      await session.type("exit 5\n");
      assert.equal(await session.exited, 5);
    });

    it("ends with its client", async () => {
      await fail(sandbox, client, "RUN exit 4");
      const address = sandbox.heads[0]?.address ?? "";
      const child = spawn(process.execPath, [main, "--addr", address, "debug", "shell", "--", "sleep", "1000"]);
      const exited = new Promise((resolve) => child.once("exit", resolve));
      await waitFor("sleep to run", () => sandbox.containers().length === 1);
      child.kill("SIGKILL");
      await exited;
    });
  });
}

describe("what failed steps leave", () => {
  it("goes after its time", async () => {
    await using sandbox = await Sandbox.start({ standalone: true, keepFailed: "1s" });
    const client = await sandbox.connect();
    await fail(sandbox, client, "RUN echo half > /half; exit 4");
    await waitFor("what the step left to be removed", async () => (await kept(client)).length === 0);
    const { stderr, code } = await shell(sandbox, []);
    assert.match(stderr, /^error: nothing is kept of build \w+, which failed: failed steps are kept for 1 s/m);
    assert.equal(code, 1);
  });

  it("is no longer there after a prune", async () => {
    await using sandbox = await Sandbox.start({ standalone: true });
    const client = await sandbox.connect();
    await fail(sandbox, client, "RUN echo half > /half; exit 4");
    assert.equal((await kept(client)).length, 1);
    const request = { filter: [], all: true, keepDuration: 0n };
    const limits = { reservedSpace: 0, maxUsedSpace: 0, minFreeSpace: 0 };
    for await (const _ of client.control.prune({ ...request, ...limits }, AbortSignal.timeout(60_000)));
    assert.deepEqual(await kept(client), []);
    assert.match(
      (await shell(sandbox, [])).stderr,
      /^error: what ".*RUN.*" left or began with was removed by clean-up$/m,
    );
  });

  it("is lost with its agent", async () => {
    await using sandbox = await Sandbox.start({ agents: 2, namespaces: true });
    const client = await sandbox.connect();
    await fail(sandbox, client, "RUN echo half > /half; exit 4");
    const { stderr } = await shell(sandbox, ["--", "true"]);
    const ran = /on agent (\w+)/.exec(stderr)?.[1];
    const agent = sandbox.agents.find(({ id }) => id === ran);
    assert.ok(agent !== undefined, stderr);
    await agent.process.stop();
    await waitFor(
      "the agent to be missed",
      async () => (await client.control.workers([], AbortSignal.timeout(10_000))).length === 1,
    );
    assert.match(
      (await shell(sandbox, [])).stderr,
      new RegExp(`what the step left is lost: agent ${ran}, which ran it, is not in the fleet`),
    );
    const inputs = await shell(sandbox, ["--on", "inputs", "--", "ls", "/bin/sh"]);
    assert.equal(inputs.stdout, "/bin/sh\n", inputs.stderr);
  });
});
