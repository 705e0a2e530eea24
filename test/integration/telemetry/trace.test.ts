import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { MemoryTrace, type SpanRecord } from "../../../src/telemetry/index.ts";
import { fileOutput, pushOutput, Sandbox } from "../../helpers/sandbox/index.ts";
import { buildctlBuild, type ClientTrace, newTrace, tracedBuild } from "./traced-builds.ts";

const buildctl = (process.env["PATH"] ?? "")
  .split(delimiter)
  .map((directory) => join(directory, "buildctl"))
  .find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** What a build consists of, by the names of its spans. */
const stepsOfBuild = [
  "moby.buildkit.v1.Control/Solve",
  "moby.buildkit.v1.Control/Session",
  "build",
  "frontend dockerfile.v0",
  "[internal] load build context",
  "moby.filesync.v1.FileSync/DiffCopy",
  "cache request: [b 2/3] RUN echo b > /b",
  "content digest: [b 3/3] COPY --from=a /a /a",
  "[b 2/3] RUN echo b > /b",
  "dispatch exec",
  "queue wait",
  "task exec",
  "fetch layers",
  "fetch layer",
  "mount",
  "run container",
  "commit",
  "save cache: [b 2/3] RUN echo b > /b",
  "exporting to image",
  "exporting to oci image format",
  "pack",
  "push blob",
  "moby.filesync.v1.FileSend/DiffCopy",
];

/** Spans that stand for the whole of a build, not for a step of it. */
const whole = /^moby\.buildkit\.v1\.|^build$|^frontend /;

for (const topology of ["standalone", "fleet"] as const) {
  describe(`trace of a build: ${topology}`, () => {
    const cold = newTrace();
    const warm = newTrace();
    const failed = newTrace();
    const secret = `secret-${randomBytes(8).toString("hex")}`;
    let collector: MemoryTrace;
    let agentIds: ReadonlySet<string>;
    let log = "";

    before(async () => {
      collector = await MemoryTrace.listen();
      const sandbox = await Sandbox.start({
        ...(topology === "standalone" ? { standalone: true } : { agents: 2, agent: { slots: 1 } }),
        env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
      });
      // Daemons send what they have left when they end.
      await using _ended = sandbox;
      agentIds = new Set(sandbox.agents.map(({ id }) => id));
      const client = await sandbox.connect();
      const address = sandbox.heads[0]?.address ?? "";
      const image = sandbox.image("layered:latest");
      const directory = await client.writeContext({
        Dockerfile: `FROM ${image} AS a\nCOPY f /f\nRUN cat /f > /a\nFROM ${image} AS b\nRUN echo b > /b\nCOPY --from=a /a /a\n`,
        f: "f",
      });
      const outputs = [pushOutput(sandbox.image("traced:latest")), fileOutput("oci", join(sandbox.root, "traced.tar"))];
      await tracedBuild(address, cold, { directory, outputs });
      await tracedBuild(address, warm, { directory, outputs });
      const failing = await client.writeContext({
        Dockerfile: `FROM ${image}\nRUN --mount=type=secret,id=s cat /run/secrets/s && exit 3\n`,
      });
      await assert.rejects(tracedBuild(address, failed, { directory: failing, secret }), /exit code: 3/);
      if (buildctl !== undefined) await buildctlBuild(buildctl, address, directory);
      log = await sandbox.logs();
    });

    after(() => collector[Symbol.asyncDispose]());

    it("is one trace: that of the client", () => {
      for (const trace of [cold, warm, failed]) {
        const spans = collector.spans(trace.traceId);
        const known = new Set([trace.spanId, ...spans.map(({ spanId }) => spanId)]);
        const lost = spans.filter(({ parentSpanId }) => !known.has(parentSpanId));
        assert.deepEqual(lost, []);
        assert.equal(named(spans, "build").length, 1);
      }
    });

    it("has nothing outside of the clients' traces", () => {
      const clients = new Set([cold, warm, failed].map(({ traceId }) => traceId));
      const others = collector.spans().filter(({ traceId }) => !clients.has(traceId));
      // buildctl's own, when there is one.
      assert.equal(new Set(others.map(({ traceId }) => traceId)).size, buildctl === undefined ? 0 : 1);
    });

    it("shows every step", () => {
      const names = new Set(collector.spans(cold.traceId).map(({ name }) => name));
      assert.deepEqual(
        stepsOfBuild.filter((name) => !names.has(name)),
        [],
      );
    });

    it("puts work where it belongs", () => {
      const spans = collector.spans(cold.traceId);
      const above = (span: SpanRecord | undefined) => pathOf(span, spans);
      const [step] = named(spans, "[b 2/3] RUN echo b > /b");
      assert.deepEqual(above(step), ["build", "moby.buildkit.v1.Control/Solve"]);
      const containers = named(spans, "run container");
      assert.equal(containers.length, 2);
      for (const container of containers) {
        assert.deepEqual(above(container).slice(0, 2), ["task exec", "dispatch exec"]);
        assert.match(above(container)[2] ?? "", /^\[[ab] \d\/3\] RUN /);
        assert.equal(container.attributes["process.exit_code"], 0);
      }
      for (const blob of named(spans, "push blob")) {
        assert.deepEqual(above(blob).slice(0, 3), ["task push", "dispatch push", "finalize: exporting to image"]);
      }
      for (const wait of named(spans, "queue wait")) assert.match(above(wait)[0] ?? "", /^dispatch /);
      for (const fetch of named(spans, "fetch layer")) {
        assert.ok(Number(fetch.attributes["blob.size_bytes"]) > 0);
        assert.match(String(fetch.attributes["fetch.from"]), /^(origin|content store|agent .+)$/);
      }
    });

    it("says which agent ran a task", () => {
      const tasks = collector.spans(cold.traceId).filter(({ name }) => name.startsWith("task "));
      const agents = new Set(tasks.map(({ attributes }) => String(attributes["agent.id"])));
      if (topology === "standalone") assert.equal(agents.size, 1);
      else assert.ok([...agents].every((id) => agentIds.has(id)));
      const processes = new Set(tasks.map(({ service }) => service));
      assert.deepEqual([...processes], [topology === "standalone" ? "buildfleet-standalone" : "buildfleet-agent"]);
    });

    it("shows what came from the cache, and that nothing ran", () => {
      const spans = collector.spans(warm.traceId);
      assert.equal(named(spans, "run container").length, 0);
      assert.ok(spans.some(({ name }) => name.startsWith("load cache: [b ")));
    });

    it("leaves little of a build unexplained", () => {
      for (const trace of [cold, warm]) {
        const spans = collector.spans(trace.traceId);
        const [build] = named(spans, "build");
        assert.ok(build);
        const steps = spans.filter(({ name }) => !whole.test(name));
        const share = uncovered(build, steps);
        assert.ok(share < 0.5, `${(share * 100).toFixed(0)} % of the build is in no step`);
      }
    });

    it("records what failed, and no secret", () => {
      const spans = collector.spans(failed.traceId);
      for (const name of ["run container", "task exec", "dispatch exec", "build", "moby.buildkit.v1.Control/Solve"]) {
        assert.match(named(spans, name)[0]?.error ?? "", /exit code: 3/, name);
      }
      assert.ok(named(spans, "moby.buildkit.secrets.v1.Secrets/GetSecret").length > 0);
      const all = JSON.stringify(collector.spans(), (_, value) => (typeof value === "bigint" ? `${value}` : value));
      assert.equal(all.includes(secret), false);
    });

    it("is named in the log", () => {
      const lines: readonly Record<string, unknown>[] = log
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line));
      const messages = (traceId: string) =>
        lines.filter((line) => line["traceId"] === traceId && line["spanId"] !== undefined).map(({ msg }) => msg);
      assert.ok(messages(cold.traceId).includes("build started"));
      assert.ok(messages(cold.traceId).includes("build finished"));
      assert.ok(messages(failed.traceId).includes("call failed"));
      assert.ok(messages(failed.traceId).includes("task failed"));
    });

    it("has the spans of buildctl too", { skip: buildctl === undefined && "buildctl is not on the PATH" }, () => {
      const ours = new Set<string>([cold, warm, failed].map(({ traceId }: ClientTrace) => traceId));
      const spans = collector.spans().filter(({ traceId }) => !ours.has(traceId));
      const known = new Set(spans.map(({ spanId }) => spanId));
      const roots = spans.filter(({ parentSpanId }) => !known.has(parentSpanId));
      assert.deepEqual(
        roots.map(({ name, parentSpanId }) => ({ name, parentSpanId })),
        [{ name: "build", parentSpanId: "" }],
      );
      assert.match(roots[0]?.service ?? "", /buildctl/);
      assert.equal(named(spans, "frontend dockerfile.v0").length, 1);
    });
  });
}

function named(spans: readonly SpanRecord[], name: string): readonly SpanRecord[] {
  return spans.filter((span) => span.name === name);
}

/** Names of all spans above one, the nearest first. */
function pathOf(span: SpanRecord | undefined, spans: readonly SpanRecord[]): string[] {
  const parent = spans.find(({ spanId }) => spanId === span?.parentSpanId);
  return parent === undefined ? [] : [parent.name, ...pathOf(parent, spans)];
}

/** Share of a span's time in which none of the others ran. */
function uncovered(span: SpanRecord, others: readonly SpanRecord[]): number {
  const offset = (nanos: bigint) => Number(nanos - span.startNanos);
  const length = offset(span.endNanos);
  const steps = others
    .map(({ startNanos, endNanos }) => ({ from: offset(startNanos), to: offset(endNanos) }))
    .sort((a, b) => a.from - b.from);
  let until = 0;
  let free = 0;
  for (const { from, to } of [...steps, { from: length, to: length }]) {
    free += Math.max(0, Math.min(from, length) - until);
    until = Math.max(until, to);
  }
  return free / length;
}
