import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { InfoRequest, InfoResponse } from "../../../src/api/gen/control.ts";
import { dialProgram } from "../../../src/client/dial-program.ts";
import { ControlClient, connectDaemon } from "../../../src/client/index.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { GrpcServer, listenGrpc, unary } from "../../../src/grpc/index.ts";

const never = new AbortController().signal;

describe("addresses that programs connect to", () => {
  for (const [address, line] of [
    ["docker-container://Some_name", "docker exec -i Some_name buildctl dial-stdio"],
    ["docker-container://name?context=other", "docker --context=other exec -i name buildctl dial-stdio"],
    ["podman-container://name", "podman exec -i name buildctl dial-stdio"],
    ["nerdctl-container://name?namespace=n", "nerdctl exec --namespace n -i name buildctl dial-stdio"],
    [
      "kube-pod://pod-1?context=c&namespace=n&container=d",
      "kubectl --context=c --namespace=n exec --container=d -i pod-1 -- buildctl dial-stdio",
    ],
    ["ssh://host", "ssh -- host buildctl dial-stdio"],
    ["ssh://me@host:2222/run/x.sock", "ssh -l me -p 2222 -- host buildctl --addr unix:///run/x.sock dial-stdio"],
  ] as const) {
    it(`runs a program for ${address}`, () => {
      const program = dialProgram(address);
      assert.equal([program?.command, ...(program?.args ?? [])].join(" "), line);
    });
  }

  for (const [address, message] of [
    ["docker-container://", /lacks the name of a container/],
    ["docker-container://-v", /no container has such a name/],
    ["kube-pod://Pod", /unsupported name "Pod"/],
    ["kube-pod://pod?namespace=--x", /unsupported name "--x"/],
    ["ssh://me:secret@host", /plain-text password is not supported/],
    ["ssh://host?x=1", /nothing may follow the path/],
    ["npipe://x", /unknown address scheme "npipe:\/\/"/],
  ] as const) {
    it(`refuses ${address}`, async () => {
      await assert.rejects(connectDaemon({ address, timeoutMs: 1000 }), { code: Code.InvalidArgument, message });
    });
  }
});

describe("a connection through a program", () => {
  const path = process.env["PATH"];
  let directory: string;
  const owned = new AsyncDisposableStack();

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "dial-program-"));
    owned.defer(() => rm(directory, { recursive: true, force: true }));
    const server = owned.use(new GrpcServer({ logger: silentLogger }));
    const version = { package: "p", version: "v", revision: "r", dockerfileVersion: "" };
    server.handle(
      "/moby.buildkit.v1.Control/Info",
      unary(InfoRequest, InfoResponse, () => ({ buildkitVersion: version })),
    );
    const socket = join(directory, "daemon.sock");
    owned.use(await listenGrpc(server, `unix://${socket}`));
    const bridge = `const s = require("net").connect(${JSON.stringify(socket)}); process.stdin.pipe(s).pipe(process.stdout);`;
    await program("docker", `echo "$@" > ${directory}/asked; exec ${process.execPath} -e '${bridge}'`);
    await program("ssh", "echo 'no route to that host' >&2; exit 255");
    process.env["PATH"] = `${directory}${delimiter}${path}`;
  });
  after(async () => {
    process.env["PATH"] = path;
    await owned.disposeAsync();
  });

  async function program(name: string, script: string): Promise<void> {
    await writeFile(join(directory, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(directory, name), 0o755);
  }

  it("carries calls", async () => {
    await using client = await connectDaemon({ address: "docker-container://builder", timeoutMs: 30_000 });
    assert.equal((await new ControlClient(client).info(never))?.revision, "r");
    assert.equal(await readFile(join(directory, "asked"), "utf8"), "exec -i builder buildctl dial-stdio\n");
  });

  it("ends the program with it", async () => {
    const client = await connectDaemon({ address: "docker-container://builder", timeoutMs: 30_000 });
    await client[Symbol.asyncDispose]();
    await client.closed;
  });

  it("fails with what the program says", async () => {
    const failing = connectDaemon({ address: "ssh://host", timeoutMs: 30_000 });
    await assert.rejects(failing, {
      code: Code.Unavailable,
      message: /ssh: ended with code 255: no route to that host/,
    });
    const missing = connectDaemon({ address: "nerdctl-container://x", timeoutMs: 30_000 });
    await assert.rejects(missing, { code: Code.Unavailable, message: /nerdctl: .*ENOENT/ });
  });
});

describe("--wait", () => {
  it("tries again until the daemon is there", async (t) => {
    const directory = await mkdtemp(join(tmpdir(), "wait-"));
    t.after(() => rm(directory, { recursive: true, force: true }));
    const address = `unix://${join(directory, "daemon.sock")}`;
    await assert.rejects(connectDaemon({ address, timeoutMs: 30_000 }), { code: Code.Unavailable });
    const connecting = connectDaemon({ address, timeoutMs: 30_000, wait: true });
    await using server = new GrpcServer({ logger: silentLogger });
    await using _listener = await listenGrpc(server, address);
    await using client = await connecting;
    assert.ok(client.usable);
    await client[Symbol.asyncDispose]();
  });
});
