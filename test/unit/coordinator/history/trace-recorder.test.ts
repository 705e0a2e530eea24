import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MemoryMessageBus, subjects } from "../../../../src/bus/index.ts";
import { TraceRecorder } from "../../../../src/coordinator/history/index.ts";
import { encodeTrace } from "../../../../src/coordinator/history/trace-blob.ts";
import type { SpanRecord } from "../../../../src/telemetry/index.ts";
import { encode } from "../../../../src/util/msgpack.ts";
import { span, traceOf } from "./spans.ts";

const id = (digit: string) => digit.repeat(16);
const names = (spans: readonly SpanRecord[] | undefined) => spans?.map(({ name }) => name);

describe("TraceRecorder", () => {
  it("keeps the spans of recorded traces, from clients and from agents", async () => {
    const bus = new MemoryMessageBus();
    using recorder = new TraceRecorder(bus);
    recorder.add([span("a", "too early")]);
    const recording = recorder.record(traceOf("a"));
    recorder.add([span("a", "client"), span("b", "other")]);
    bus.publish(subjects.traceSpans("a".repeat(32)), encode([span("a", "agent")]));
    await bus.flush();
    assert.deepEqual(names(recording?.stop()), ["client", "agent"]);
    recorder.add([span("a", "too late")]);
    assert.deepEqual(names(recorder.record(traceOf("a"))?.stop()), []);
  });

  it("records nothing without a trace", () => {
    using recorder = new TraceRecorder(new MemoryMessageBus());
    assert.equal(recorder.record(undefined), undefined);
    assert.equal(recorder.record("nonsense"), undefined);
  });

  it("gives each of several builds in a trace its own, and the client's to all", () => {
    using recorder = new TraceRecorder(new MemoryMessageBus());
    const one = recorder.record(traceOf("a", id("1")));
    const two = recorder.record(traceOf("a", id("2")));
    const child = (name: string, own: string, parent: string) =>
      span("a", name, { spanId: id(own), parentSpanId: id(parent) });
    recorder.add([
      child("step of one", "3", "1"),
      child("its task", "4", "3"),
      child("step of two", "5", "2"),
      child("one", "1", "9"),
      child("two", "2", "9"),
      child("bake", "9", "8"),
      child("circle", "6", "7"),
      child("of spans", "7", "6"),
    ]);
    const ofClient = ["bake", "circle", "of spans"];
    assert.deepEqual(names(two?.stop()), ["step of two", "two", ...ofClient]);
    assert.deepEqual(names(one?.stop()), ["step of one", "its task", "one", ...ofClient]);
  });
});

describe("encodeTrace", () => {
  const read = async (spans: readonly SpanRecord[]) => {
    let text = "";
    for await (const chunk of encodeTrace(spans)) text += Buffer.from(chunk).toString();
    return text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  };

  it("writes spans as Go's SDK shows them", async () => {
    const [stub] = await read([
      span("a", "x", {
        kind: "client",
        parentSpanId: id("2"),
        attributes: { s: "t", n: 3, f: 0.5, b: true, l: ["x"], e: [] },
        events: [{ name: "exception", nanos: 1_767_323_045_500_000_000n, attributes: { "exception.message": "no" } }],
        error: "no",
      }),
    ]);
    const context = { TraceFlags: "01", TraceState: "", Remote: false };
    assert.deepEqual(stub.SpanContext, { TraceID: "a".repeat(32), SpanID: id("1"), ...context });
    assert.deepEqual(stub.Parent, { TraceID: "a".repeat(32), SpanID: id("2"), ...context });
    assert.deepEqual([stub.Name, stub.SpanKind], ["x", 3]);
    assert.deepEqual(
      [stub.StartTime, stub.EndTime],
      ["2026-01-02T03:04:05.000000007Z", "2026-01-02T03:04:06.120000000Z"],
    );
    assert.deepEqual(stub.Attributes, [
      { Key: "s", Value: { Type: "STRING", Value: "t" } },
      { Key: "n", Value: { Type: "INT64", Value: 3 } },
      { Key: "f", Value: { Type: "FLOAT64", Value: 0.5 } },
      { Key: "b", Value: { Type: "BOOL", Value: true } },
      { Key: "l", Value: { Type: "STRINGSLICE", Value: ["x"] } },
      { Key: "e", Value: { Type: "STRINGSLICE", Value: [] } },
    ]);
    assert.deepEqual([stub.Events[0].Name, stub.Events[0].Time], ["exception", "2026-01-02T03:04:05.500000000Z"]);
    assert.deepEqual(stub.Status, { Code: 1, Description: "no" });
    assert.deepEqual(stub.Resource, [{ Key: "service.name", Value: { Type: "STRING", Value: "test" } }]);
  });

  it("takes many", async () => {
    const [first, ...others] = await read(Array.from({ length: 1001 }, (_, index) => span("a", `${index}`)));
    assert.equal(first.Parent.SpanID, "0".repeat(16));
    assert.equal(others.at(-1).Name, "1000");
  });
});
