import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { findProgram } from "../../../deploy/demo/requirements.ts";
import { MemoryTrace } from "../../../src/telemetry/index.ts";
import { CliProcess } from "../../helpers/sandbox/index.ts";

const repository = join(import.meta.dirname, "../../..");
const runtime = (await findProgram("runc")) ?? (await findProgram("crun"));
const skip = process.getuid?.() !== 0 ? "needs root" : runtime === undefined && "needs runc or crun";

/** What is installed is not the sources: packages that are loaded late, worker threads and their files are found otherwise. */
describe("buildfleet as a bundle", { skip }, () => {
  let directory = "";
  let collector: MemoryTrace;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "bundle-"));
    collector = await MemoryTrace.listen();
    await promisify(execFile)(process.execPath, [join(repository, "scripts/bundle.ts"), join(directory, "dist")]);
    await symlink(join(repository, "node_modules"), join(directory, "node_modules"));
    await mkdir(join(directory, "context"));
    await writeFile(join(directory, "context/Dockerfile"), "FROM scratch\nCOPY Dockerfile /copy\n");
  });
  after(async () => {
    await collector?.[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  /** A daemon that builds once and ends by itself. */
  async function build(name: string, env: Readonly<Record<string, string>>): Promise<void> {
    const program = [process.execPath, join(directory, "dist/buildfleet.mjs")];
    const address = `unix://${join(directory, name)}.sock`;
    const daemon = new CliProcess(
      ["standalone", "--root", join(directory, name, "root"), "--addr", address],
      env,
      program,
    );
    const output = join(directory, name, "output");
    try {
      await daemon.said(/standalone is ready/);
      const client = new CliProcess(
        ["--addr", address, "build", "-o", output, join(directory, "context")],
        { ...env, DOCKER_CONFIG: directory },
        program,
      );
      const { code, stderr } = await client.ended;
      assert.equal(code, 0, stderr);
    } finally {
      daemon.child.kill("SIGTERM");
      const { code, stderr } = await daemon.ended;
      assert.equal(code, 0, stderr);
    }
    assert.match(await readFile(join(output, "copy"), "utf8"), /^FROM scratch/);
  }

  it("builds", () => build("plain", {}));

  it("sends spans as OTLP", async () => {
    await build("otlp", { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
    assert.ok(collector.spans().some(({ name }) => name === "[1/1] COPY Dockerfile /copy"));
  });

  it("sends spans to Jaeger", () => build("jaeger", { OTEL_EXPORTER_JAEGER_ENDPOINT: `${collector.url}/api/traces` }));
});
