import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Source } from "../../../src/api/gen/errdefs.ts";
import { createFrontDoor } from "../../../src/coordinator/front-door/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { type GrpcListener, type GrpcServer, listenGrpc } from "../../../src/grpc/index.ts";
import { SessionManager } from "../../../src/session/index.ts";
import { FakeBuildService } from "./fake-build-service.ts";

/** Path of a command, or undefined. */
function findCommand(name: string): string | undefined {
  for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
    try {
      const path = join(directory, name);
      accessSync(path, constants.X_OK);
      return path;
    } catch {}
  }
  return undefined;
}

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<Run> {
  return new Promise((resolve) => {
    execFile(command, args, { env: { ...process.env, ...env }, timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : error === null ? 0 : 255, stdout, stderr });
    });
  });
}

const vertex = { digest: `sha256:${"b".repeat(64)}`, inputs: [], name: "[1/1] FROM nothing", cached: false };
/** What clients ask for before they send a Dockerfile build. */
const llbCapabilities = ["source.image", "source.local", "exporter.multiple", "exporter.image.attestations"];

class Door {
  readonly builds = new FakeBuildService();
  readonly sessions = new SessionManager({ logger: silentLogger });
  readonly server: GrpcServer = createFrontDoor({
    logger: silentLogger,
    builds: this.builds,
    sessions: this.sessions,
    version: { package: "buildfleet", version: "v0.1.0", revision: "abc", dockerfileVersion: "" },
    llbCapabilities,
  });
}

describe("stock clients", () => {
  let directory: string;
  let context: string;
  let door: Door;
  let listener: GrpcListener;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "front-door-"));
    context = directory;
    await writeFile(join(context, "Dockerfile"), "FROM scratch\nRUN false\n");
    door = new Door();
    listener = await listenGrpc(door.server, "tcp://127.0.0.1:0");
  });

  after(async () => {
    await listener[Symbol.asyncDispose]();
    await door.server.close();
    await rm(directory, { recursive: true, force: true });
  });

  const buildctl = findCommand("buildctl");
  describe("buildctl", { skip: buildctl === undefined && "buildctl is not on the PATH" }, () => {
    const ctl = (...args: string[]) => run(buildctl ?? "", ["--addr", listener.address, ...args]);
    const build = (...more: string[]) =>
      ctl(
        ...["build", "--progress", "plain", "--frontend", "dockerfile.v0"],
        ...["--local", `context=${context}`, "--local", `dockerfile=${context}`, ...more],
      );

    it("lists workers, version and records", async () => {
      assert.match((await ctl("debug", "workers")).stdout, /worker-1\s+linux\/amd64/);
      assert.match((await ctl("debug", "info")).stdout, /buildfleet v0\.1\.0 abc/);
      assert.match((await ctl("du")).stdout, /record-1.*1\.23kB/);
      assert.match((await ctl("prune", "--keep-duration", "2s")).stdout, /record-1/);
      assert.equal(door.builds.lastPrune?.keepDurationMs, 2000);
      assert.equal((await ctl("debug", "histories")).code, 0);
    });

    it("builds through its session and shows progress", async () => {
      door.builds.onSolve = async (request, active, signal) => {
        assert.equal(request.frontend, "dockerfile.v0");
        const caller = await door.sessions.get(active.params.sessionId, { signal });
        assert.equal(caller.supports("/moby.filesync.v1.FileSync/DiffCopy"), true);
        active.report({ vertexes: [{ ...vertex, startedAt: Date.now() }] });
        active.report({
          logs: [{ vertex: vertex.digest, stream: 1, data: Buffer.from("it says hello\n"), timestamp: Date.now() }],
        });
        active.report({ vertexes: [{ ...vertex, startedAt: Date.now(), completedAt: Date.now() + 10 }] });
        return { metadata: new Map() };
      };
      const result = await build();
      assert.equal(result.code, 0, result.stderr);
      assert.match(result.stderr, /\[1\/1\] FROM nothing/);
      assert.match(result.stderr, /it says hello/);
    });

    it("shows the line of the Dockerfile that failed", async () => {
      door.builds.onSolve = async () => {
        const value = Source.fromPartial({
          info: { filename: "Dockerfile", data: readFileSync(join(context, "Dockerfile")) },
          ranges: [{ start: { line: 2 }, end: { line: 2 } }],
        });
        const json = {
          info: { filename: value.info?.filename, data: Buffer.from(value.info?.data ?? "").toString("base64") },
          ranges: value.ranges,
        };
        throw new BuildError(Code.Unknown, 'process "/bin/sh -c false" did not complete successfully: exit code: 1', {
          details: [
            { typeUrl: "github.com/moby/buildkit/errdefs.Source+json", value: Buffer.from(JSON.stringify(json)) },
          ],
        });
      };
      const result = await build();
      assert.equal(result.code, 1);
      assert.match(result.stderr, /failed to solve: process "\/bin\/sh -c false" did not complete successfully: exit/);
      assert.match(result.stderr, /2 \| >>> RUN false/);
    });

    it("shows why a build was refused", async () => {
      const duplicate = ["--export-cache", "type=registry,ref=r.io/a", "--export-cache", "type=registry,ref=r.io/a"];
      assert.match((await build(...duplicate)).stderr, /failed to solve: duplicate cache exports \[registry\]/);
      const exporter = await build("--output", "type=no-such");
      assert.match(exporter.stderr, /failed to solve: exporter "no-such" could not be found/);
    });

    it("cancels the build when it is interrupted", async () => {
      const running = Promise.withResolvers<AbortSignal>();
      door.builds.onSolve = async (_request, active) => {
        running.resolve(active.signal);
        await new Promise((resolve) => active.signal.addEventListener("abort", resolve));
        throw active.signal.reason;
      };
      const child = spawn(buildctl ?? "", [
        ...["--addr", listener.address, "build", "--progress", "plain", "--frontend", "dockerfile.v0"],
        ...["--local", `context=${context}`, "--local", `dockerfile=${context}`],
      ]);
      const exited = new Promise((resolve) => child.once("exit", resolve));
      const signal = await running.promise;
      child.kill("SIGINT");
      await exited;
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
      while (door.sessions.ids.length > 0) await new Promise((resolve) => setImmediate(resolve));
    });

    it("builds many at once", async () => {
      door.builds.onSolve = async (_request, active, signal) => {
        await door.sessions.get(active.params.sessionId, { signal });
        return { metadata: new Map() };
      };
      const results = await Promise.all(Array.from({ length: 12 }, () => build()));
      assert.deepEqual(
        results.map((result) => result.code),
        Array(12).fill(0),
      );
    });
  });

  const buildx = findCommand("docker-buildx");
  describe("docker buildx", { skip: buildx === undefined && "docker-buildx is not on the PATH" }, () => {
    const x = (...args: string[]) => run(buildx ?? "", args, { BUILDX_CONFIG: join(directory, "buildx") });

    it("makes a remote builder, builds and writes the metadata file", async () => {
      door.builds.onSolve = async () => ({ metadata: new Map() });
      assert.equal((await x("create", "--name", "fleet", "--driver", "remote", listener.address)).code, 0);
      const inspect = await x("inspect", "--bootstrap", "fleet");
      assert.match(inspect.stdout, /Status:\s+running/);
      assert.match(inspect.stdout, /BuildKit version:\s+v0\.0\.0|BuildKit version:\s+v0\.1\.0/);
      const metadata = join(directory, "metadata.json");
      const built = await x("build", "--builder", "fleet", "--progress", "plain", "--metadata-file", metadata, context);
      assert.equal(built.code, 0, built.stderr);
      assert.equal(JSON.parse(readFileSync(metadata, "utf8"))["image.name"], "docker.io/library/fake:latest");
      assert.match((await x("du", "--builder", "fleet")).stdout, /record-1/);
    });
  });

  const openssl = findCommand("openssl");
  const noTls =
    openssl === undefined ? "openssl is not on the PATH" : buildctl === undefined && "buildctl is not on the PATH";
  describe("mTLS", { skip: noTls }, () => {
    it("serves clients with a certificate, with or without ALPN, and no others", async () => {
      const at = (name: string) => join(directory, name);
      const ssl = async (...args: string[]) => {
        const result = await run(openssl ?? "", args);
        assert.equal(result.code, 0, result.stderr);
      };
      const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
      await ssl("req", "-x509", ...key, "-keyout", at("ca.key"), "-out", at("ca.pem"), "-subj", "/CN=ca", "-days", "2");
      for (const name of ["server", "client"]) {
        await ssl("req", ...key, "-keyout", at(`${name}.key`), "-out", at(`${name}.csr`), "-subj", `/CN=${name}`);
        await writeFile(at("ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
        await ssl(
          ...["x509", "-req", "-in", at(`${name}.csr`), "-CA", at("ca.pem"), "-CAkey", at("ca.key")],
          ...["-CAcreateserial", "-out", at(`${name}.pem`), "-days", "2", "-extfile", at("ext")],
        );
      }
      const read = (name: string) => readFileSync(at(name));
      const tls = { cert: read("server.pem"), key: read("server.key"), ca: read("ca.pem") };
      await using secure = await listenGrpc(door.server, "tcp://127.0.0.1:0", { tls });
      const ctl = (...args: string[]) =>
        run(buildctl ?? "", ["--addr", secure.address, "--timeout", "2", ...args, "debug", "workers"]);
      const good = await ctl("--tlscacert", at("ca.pem"), "--tlscert", at("client.pem"), "--tlskey", at("client.key"));
      assert.match(good.stdout, /worker-1/, good.stderr);
      assert.notEqual((await ctl("--tlscacert", at("ca.pem"))).code, 0);
      assert.notEqual((await ctl()).code, 0);
      if (buildx === undefined) return;
      // buildx sends no ALPN.
      const x = (...args: string[]) => run(buildx, args, { BUILDX_CONFIG: join(directory, "buildx-tls") });
      const options = `cacert=${at("ca.pem")},cert=${at("client.pem")},key=${at("client.key")}`;
      await x("create", "--name", "secure", "--driver", "remote", "--driver-opt", options, secure.address);
      assert.match((await x("inspect", "secure")).stdout, /Status:\s+running/);
    });
  });
});
