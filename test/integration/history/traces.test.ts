import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Sandbox, waitFor } from "../../helpers/sandbox/index.ts";
import { newTrace, tracedBuild } from "../telemetry/traced-builds.ts";

const never = new AbortController().signal;

interface Stub {
  readonly Name: string;
  readonly SpanContext: { readonly TraceID: string; readonly SpanID: string };
  readonly Parent: { readonly SpanID: string };
  readonly Resource: readonly { readonly Value: { readonly Value: string } }[];
}

describe("traces in the history of a fleet", () => {
  let sandbox: Sandbox;
  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, agent: { slots: 1 }, coordinators: 2 });
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  it("has the spans of coordinator and agents, without any collector, and can be read everywhere", async () => {
    const client = await sandbox.connect();
    const trace = newTrace();
    const image = sandbox.image();
    const directory = await client.writeContext({
      Dockerfile: `FROM ${image} AS a\nRUN echo a > /a\nFROM ${image} AS b\nRUN echo b > /b\nCOPY --from=a /a /a\n`,
    });
    await tracedBuild(sandbox.heads[0]?.address ?? "", trace, { directory });
    const other = await sandbox.connect(1);
    const record = await waitFor("the trace", async () => {
      for await (const { record } of other.control.history({ EarlyExit: true }, never))
        if (record?.trace) return record;
      return undefined;
    });
    const chunks: Uint8Array[] = [];
    for await (const chunk of other.control.content(record.trace?.digest ?? "", never)) chunks.push(chunk);
    const spans: Stub[] = Buffer.concat(chunks)
      .toString()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.ok(spans.every(({ SpanContext }) => SpanContext.TraceID === trace.traceId));
    const known = new Set([trace.spanId, ...spans.map(({ SpanContext }) => SpanContext.SpanID)]);
    assert.deepEqual(
      spans.filter(({ Parent }) => !known.has(Parent.SpanID)).map(({ Name }) => Name),
      [],
    );
    const services = (name: string) =>
      new Set(spans.filter(({ Name }) => Name === name).map(({ Resource }) => Resource[0]?.Value.Value));
    assert.deepEqual(services("build"), new Set(["buildfleet-coordinator"]));
    assert.deepEqual(services("moby.buildkit.v1.Control/Solve"), new Set(["buildfleet-coordinator"]));
    assert.deepEqual(services("run container"), new Set(["buildfleet-agent"]));
    assert.deepEqual(services("task exec"), new Set(["buildfleet-agent"]));
  });
});
