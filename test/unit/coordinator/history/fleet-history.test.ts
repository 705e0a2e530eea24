import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { Status } from "../../../../src/api/gen/google/rpc/status.ts";
import { type FleetHistory, TraceRecorder } from "../../../../src/coordinator/history/index.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { parseDigest, sha256 } from "../../../../src/core/values/digest.ts";
import type { SolveProgress } from "../../../../src/core/values/solve-progress.ts";
import { step } from "../explain/recorded-builds.ts";
import {
  build,
  collect,
  digestB,
  everything,
  HistoryFleet,
  listed,
  next,
  progressOf,
  record,
} from "./history-setup.ts";
import { span, traceOf } from "./spans.ts";

const never = new AbortController().signal;
const hourMs = 3600_000;

describe("FleetHistory", () => {
  it("records how a build went", async (t) => {
    const fleet = new HistoryFleet();
    const { history } = await fleet.open(t, { coordinatorId: "c1" });
    const recording = history.record(build("a", { target: "app", "build-arg:X": "1" }), () => progressOf(0));
    assert.deepEqual(await listed(history), ["STARTED a"]);
    assert.deepEqual(await listed(history, { activeOnly: true }), ["STARTED a"]);
    fleet.clock.advance(1234);
    const result = { mediaType: "m", digest: sha256("x"), size: 7, annotations: { k: "v" } };
    await recording.end(
      { metadata: new Map([["containerimage.config", Buffer.from("{}")]]), results: [undefined, result] },
      progressOf(10),
    );
    assert.deepEqual(await listed(history, { activeOnly: true }), []);
    const found = await only(history, "a");
    assert.equal(found.Frontend, "dockerfile.v0");
    assert.deepEqual(found.FrontendAttrs, { target: "app", "build-arg:X": "1" });
    assert.deepEqual(found.Exporters, [{ Type: "oci", Attrs: { name: "x" } }]);
    assert.deepEqual(found.ExporterResponse, { "containerimage.config": "{}" });
    const { numTotalSteps, numCachedSteps, numCompletedSteps, numWarnings, Generation, error } = found;
    assert.deepEqual(
      { numTotalSteps, numCachedSteps, numCompletedSteps, numWarnings, Generation, error },
      { numTotalSteps: 2, numCachedSteps: 1, numCompletedSteps: 2, numWarnings: 1, Generation: 0, error: undefined },
    );
    assert.equal(Number(found.CompletedAt?.seconds) - Number(found.CreatedAt?.seconds), 1);
    assert.deepEqual([...(found.Result?.Results.keys() ?? [])], [1n]);
    assert.deepEqual(found.Result?.ResultDeprecated, result);
  });

  it("keeps the error, its details in a blob", async (t) => {
    const { history } = await new HistoryFleet().open(t, { coordinatorId: "c1" });
    const error = new BuildError(Code.InvalidArgument, "no such flag", {
      details: [{ typeUrl: "some/thing", value: Buffer.from("{}") }],
    });
    await history.record(build("a"), () => progressOf(0)).end({ error }, progressOf(0));
    const found = await only(history, "a");
    assert.deepEqual(found.error, { code: Code.InvalidArgument, message: "no such flag", details: [] });
    assert.equal(found.externalError?.mediaType, "application/vnd.googeapis.google.rpc.status+proto");
    const blob = Status.decode(await read(history, found.externalError?.digest));
    assert.deepEqual(
      blob.details.map(({ typeUrl }) => typeUrl),
      ["github.com/moby/buildkit/stack.Stack+json", "some/thing"],
    );
  });

  it("tells what the result was made from, by platform or of the whole", async (t) => {
    const { history } = await new HistoryFleet().open(t, { coordinatorId: "c1" });
    const provenance = (...platforms: readonly string[]) =>
      new Map(platforms.map((name) => [name, { predicateType: "some/type", data: Buffer.from(`{"of":"${name}"}`) }]));
    await history.record(build("one"), () => progressOf(0)).end({ provenance: provenance("") }, progressOf(0));
    await history
      .record(build("two"), () => progressOf(0))
      .end({ provenance: provenance("linux/b", "linux/a") }, progressOf(0));
    const one = (await only(history, "one")).Result?.Attestations ?? [];
    assert.deepEqual(
      one.map(({ mediaType, annotations }) => [mediaType, annotations]),
      [["application/vnd.in-toto+json", { "in-toto.io/predicate-type": "some/type" }]],
    );
    assert.equal((await read(history, one[0]?.digest)).toString(), '{"of":""}');
    const two = await only(history, "two");
    assert.equal(two.Result, undefined);
    assert.deepEqual(Object.keys(two.Results), ["linux/a", "linux/b"]);
    assert.equal((await read(history, two.Results["linux/b"]?.Attestations[0]?.digest)).toString(), '{"of":"linux/b"}');
  });

  it("reads the log of a build that runs at another coordinator", async (t) => {
    const fleet = new HistoryFleet();
    const one = await fleet.open(t, { coordinatorId: "c1" });
    const two = await fleet.open(t, { coordinatorId: "c2" });
    const finish = Promise.withResolvers<void>();
    const recording = one.history.record(build("a"), async function* () {
      yield* progressOf(3 << 20);
      await finish.promise;
      yield* progressOf(0);
    });
    await fleet.bus.flush();
    const progress = await two.history.progress("a", never);
    assert.ok(progress);
    const read = progress[Symbol.asyncIterator]();
    const logs: Uint8Array[] = [];
    for (let bytes = 0; bytes < 3 << 20; ) {
      const { value, done } = await read.next();
      assert.ok(!done);
      for (const { data } of value.logs) logs.push(data);
      bytes = Buffer.concat(logs).length;
    }
    finish.resolve();
    let last: SolveProgress | undefined;
    for (let next = await read.next(); !next.done; next = await read.next()) last = next.value;
    assert.equal(last?.vertexes[0]?.completedAt, 2000);
    await recording.end({}, progressOf(0));
  });

  it("says that a build's coordinator is lost", async (t) => {
    const fleet = new HistoryFleet();
    const one = await fleet.open(t, { coordinatorId: "c1" });
    const two = await fleet.open(t, { coordinatorId: "c2" });
    one.history.record(build("a"), () => progressOf(0));
    await fleet.bus.flush();
    await one.history[Symbol.asyncDispose]();
    const progress = await two.history.progress("a", never);
    await assert.rejects(collect(progress), { code: Code.Unavailable });
  });

  it("keeps a build that another coordinator has begun again as running", async (t) => {
    const fleet = new HistoryFleet();
    const one = await fleet.open(t, { coordinatorId: "c1" });
    const two = await fleet.open(t, { coordinatorId: "c2" });
    const three = await fleet.open(t, { coordinatorId: "c3" });
    const lost = one.history.record(build("a"), () => progressOf(0));
    fleet.clock.advance(1000);
    const again = two.history.record(build("a"), () => progressOf(0));
    await lost.end({ error: new BuildError(Code.Canceled, "context canceled") }, progressOf(0));
    for (const { history } of [two, three]) assert.deepEqual(await listed(history), ["STARTED a", "COMPLETE a"]);
    await again.end({}, progressOf(0));
    for (const { history } of [two, three]) assert.deepEqual(await listed(history), ["COMPLETE a"]);
  });

  it("plays a build's progress back", async (t) => {
    const { history } = await new HistoryFleet().open(t, { coordinatorId: "c1" });
    await history.record(build("a"), () => progressOf(0)).end({}, progressOf(5));
    const batches = await collect(await history.progress("a", never));
    const expected = await collect(progressOf(5));
    assert.deepEqual(structuredClone(batches), structuredClone(expected));
    assert.equal(await history.progress("other", never), undefined);
  });

  it("is the same at every coordinator and after a restart", async (t) => {
    const fleet = new HistoryFleet();
    const one = await fleet.open(t, { coordinatorId: "c1" });
    const recording = one.history.record(build("a"), () => progressOf(0));
    const two = await fleet.open(t, { coordinatorId: "c2" });
    await fleet.bus.flush();
    await fleet.bus.flush();
    assert.deepEqual(
      await listed(two.history),
      ["STARTED a"],
      "a running build is known to a coordinator that comes later",
    );
    await recording.end({}, progressOf(1000));
    assert.deepEqual(await listed(two.history), ["COMPLETE a"]);
    assert.equal((await collect(await two.history.progress("a", never))).length, 3);
    await one.history[Symbol.asyncDispose]();
    const again = await fleet.open(t, { coordinatorId: "c3", directory: one.directory });
    assert.deepEqual(await listed(again.history), ["COMPLETE a"]);
  });

  it("keeps large logs with the coordinator that made them", async (t) => {
    const fleet = new HistoryFleet();
    const one = await fleet.open(t, { coordinatorId: "c1" });
    const two = await fleet.open(t, { coordinatorId: "c2" });
    await one.history.record(build("a"), () => progressOf(0)).end({}, progressOf(1 << 20));
    const { logs } = await only(one.history, "a");
    assert.equal((await read(one.history, logs?.digest)).length, logs?.size);
    assert.equal((await collect(await one.history.progress("a", never))).length, 18);
    const missing = { code: Code.NotFound, message: /of build a: not found here: .* stays with the coordinator/ };
    await assert.rejects(two.history.content.stat(parseDigest(logs?.digest ?? "")), missing);
    await assert.rejects(async () => collect(await two.history.progress("a", never)), missing);
    await one.history.update("a", "delete");
    assert.deepEqual(await collect(one.store.list()), []);
  });

  it("keeps how steps were cached as long as the record", async (t) => {
    const fleet = new HistoryFleet();
    const { history } = await fleet.open(t, { coordinatorId: "c1" });
    const { history: other } = await fleet.open(t, { coordinatorId: "c2" });
    const steps = [step("RUN one", { command: "one" }), step("RUN two", { command: "two" }, [0])];
    await history.record(build("a/1"), () => progressOf(0)).end({ steps }, progressOf(0));
    assert.deepEqual(await history.steps("a/1"), steps);
    assert.deepEqual(await other.steps("a/1"), steps);
    await history.record(build("a/1"), () => progressOf(0)).end({ steps: steps.slice(0, 1) }, progressOf(0));
    assert.equal((await other.steps("a/1"))?.length, 1, "those of the later build with the same ref");
    await history.update("a/1", "delete");
    assert.equal(await other.steps("a/1"), undefined);
  });

  it("does without steps when there are too many", async (t) => {
    const { history } = await new HistoryFleet().open(t, { coordinatorId: "c1" });
    await history.record(build("a"), () => progressOf(0)).end({ steps: [step("RUN", {})] }, progressOf(0));
    const steps = Array.from({ length: 20_000 }, (_, at) => step(`RUN ${at}`, { command: `${at}` }));
    await history.record(build("a"), () => progressOf(0)).end({ steps }, progressOf(0));
    assert.deepEqual(await listed(history), ["COMPLETE a"]);
    assert.equal(await history.steps("a"), undefined);
  });

  it("tells listeners what happens", async (t) => {
    const fleet = new HistoryFleet();
    const { history } = await fleet.open(t, { coordinatorId: "c1" });
    const other = await fleet.open(t, { coordinatorId: "c2" });
    await record(history, "old");
    const stop = new AbortController();
    const all = other.history.listen(everything, stop.signal);
    const onlyB = history.listen({ ...everything, ref: "b" }, stop.signal);
    assert.equal(await next(all), "COMPLETE old");
    const firstOfB = next(onlyB);
    await record(history, "a");
    await record(history, "b");
    await history.update("a", "pin");
    await history.update("a", "delete");
    const seen: string[] = [];
    for (let i = 0; i < 6; i++) seen.push(await next(all));
    assert.deepEqual(seen.slice(-2), ["COMPLETE a", "DELETED a"]);
    assert.deepEqual(seen.slice(0, 4).sort(), ["COMPLETE a", "COMPLETE b", "STARTED a", "STARTED b"]);
    assert.equal(await firstOfB, "STARTED b");
    assert.equal(await next(onlyB), "COMPLETE b");
    stop.abort();
    assert.equal((await all.next()).done, true);
    assert.equal((await onlyB.next()).done, true);
  });

  it("lists by ref, filter and limit, newest first", async (t) => {
    const fleet = new HistoryFleet();
    const { history } = await fleet.open(t, { coordinatorId: "c1" });
    for (const ref of ["a", "c", "b"]) {
      await record(history, ref);
      fleet.clock.advance(1000);
    }
    history.record(build("running"), () => progressOf(0));
    assert.deepEqual(await listed(history), ["STARTED running", "COMPLETE b", "COMPLETE c", "COMPLETE a"]);
    assert.deepEqual(await listed(history, { limit: 1 }), ["STARTED running", "COMPLETE b"]);
    assert.deepEqual(await listed(history, { ref: "a" }), ["COMPLETE a"]);
    assert.deepEqual(await listed(history, { ref: "nothing" }), []);
    assert.deepEqual(await listed(history, { filters: ["ref==c", "ref==a"] }), [
      "STARTED running",
      "COMPLETE c",
      "COMPLETE a",
    ]);
    await assert.rejects(listed(history, { filters: ["duration>soon"] }), /invalid duration soon/);
  });

  it("keeps a record until those who read it have gone", async (t) => {
    const { history } = await new HistoryFleet().open(t, { coordinatorId: "c1" });
    await record(history, "a");
    const { logs } = await only(history, "a");
    const stop = new AbortController();
    const reader = history.listen({ ...everything, ref: "a" }, stop.signal);
    await reader.next();
    await history.update("a", "delete");
    assert.deepEqual(await listed(history), []);
    await assert.rejects(listed(history, { ref: "a" }), /ref a is deleted/);
    assert.ok((await read(history, logs?.digest)).length > 0);
    stop.abort();
    await reader.next();
    assert.deepEqual(await listed(history, { ref: "a" }), []);
    assert.equal(await history.content.stat(parseDigest(logs?.digest ?? "")), undefined);
  });

  it("counts the changes of a record and refuses those of others", async (t) => {
    const { history } = await new HistoryFleet().open(t, { coordinatorId: "c1" });
    await record(history, "a");
    await history.update("a", "pin");
    await history.update("a", "finalize");
    assert.deepEqual([(await only(history, "a")).pinned, (await only(history, "a")).Generation], [true, 1]);
    await history.update("a", "unpin");
    assert.equal((await only(history, "a")).pinned, false);
    await assert.rejects(history.update("b", "pin"), /failed to retrieve ref b: file does not exist/);
    await assert.rejects(history.update("b", "delete"), /lease "ref_b": not found/);
    await history.update("b", "finalize");
  });

  it("removes records that are both too old and too many, pinned ones never", async (t) => {
    const fleet = new HistoryFleet();
    const { history } = await fleet.open(t, {
      coordinatorId: "c1",
      limits: { maxAgeMs: 2 * hourMs, maxEntries: 2 },
    });
    for (const ref of ["pinned", "old", "kept", "newest"]) {
      await record(history, ref);
      fleet.clock.advance(1000);
    }
    await history.update("pinned", "pin");
    const stop = new AbortController();
    const events = history.listen(everything, stop.signal);
    for (let i = 0; i < 4; i++) await next(events);
    await fleet.clock.asleep();
    fleet.clock.advance(hourMs);
    await fleet.clock.asleep();
    assert.equal((await listed(history)).length, 4, "too many, but not too old");
    fleet.clock.advance(hourMs);
    assert.equal(await next(events), "DELETED old");
    await fleet.clock.asleep();
    assert.deepEqual(await listed(history), ["COMPLETE newest", "COMPLETE kept", "COMPLETE pinned"]);
    stop.abort();
  });

  it("adds the trace some seconds later, or when told to, or before the record is deleted or the process ends", async (t) => {
    const fleet = new HistoryFleet();
    const traces = new TraceRecorder(fleet.bus);
    t.after(() => traces[Symbol.dispose]());
    const { history } = await fleet.open(t, { coordinatorId: "c1", traces });
    const traceparent = traceOf("a");
    await history.record({ ...build("a"), traceparent }, () => progressOf(0)).end({}, progressOf(0));
    traces.add([span("a", "of the build"), span("b", "of another trace")]);
    assert.equal((await only(history, "a")).trace, undefined);
    const listening = new AbortController();
    const changes = history.listen({ ...everything, ref: "a" }, listening.signal);
    assert.equal(await next(changes), "COMPLETE a");
    fleet.clock.advance(3000);
    assert.equal(await next(changes), "COMPLETE a");
    listening.abort();
    const found = await only(history, "a");
    assert.deepEqual([found.trace?.mediaType, found.Generation], ["application/vnd.buildkit.otlp.json.v0", 1]);
    const stubs = (await read(history, found.trace?.digest)).toString().trim().split("\n");
    assert.deepEqual(
      stubs.map((line) => JSON.parse(line).Name),
      ["of the build"],
    );

    await history.record({ ...build("b"), traceparent: traceOf("b") }, () => progressOf(0)).end({}, progressOf(0));
    traces.add([span("b", "late")]);
    await history.update("b", "finalize");
    assert.ok((await only(history, "b")).trace);
    await history.update("b", "finalize");
    assert.equal((await only(history, "b")).Generation, 1);
    await history.update("b", "delete");
    assert.deepEqual(await listed(history), ["COMPLETE a"]);

    await history.record({ ...build("c"), traceparent: traceOf("c") }, () => progressOf(0)).end({}, progressOf(0));
    traces.add([span("c", "last")]);
    await history[Symbol.asyncDispose]();
    assert.ok((await only((await fleet.open(t, { coordinatorId: "c1" })).history, "c")).trace);
  });

  it("keeps the documents of what was exported as long as the record", async (t) => {
    const fleet = new HistoryFleet();
    const { history } = await fleet.open(t, { coordinatorId: "c1" });
    const export_ = async (ref: string, texts: readonly string[], of = history) => {
      const documents = new Map(texts.map((text) => [sha256(text), { mediaType: "m", data: Buffer.from(text) }]));
      const results = [{ mediaType: "m", digest: sha256(texts[0] ?? ""), size: 1 }];
      await of.record(build(ref), () => progressOf(0)).end({ documents, results }, progressOf(0));
    };
    await export_("a", ["index of a", "manifest", "config"]);
    await export_("b", ["index of b", "manifest"]);
    await record(history, "c");
    const other = (await fleet.open(t, { coordinatorId: "c2" })).history;
    for (const reader of [history, other]) {
      for (const text of ["manifest", "index of a", "config", "index of b"]) {
        assert.equal((await reader.content.stat(sha256(text)))?.size, text.length);
        assert.equal((await read(reader, sha256(text))).toString(), text);
      }
    }
    assert.equal(
      Buffer.concat(await collect(history.content.read(sha256("config"), { offset: 2, length: 3 }))).toString(),
      "nfi",
    );
    assert.equal(await history.content.stat(sha256("nothing")), undefined);
    await assert.rejects(read(history, sha256("nothing")), /not found/);
    await history.update("a", "delete");
    assert.equal(await other.content.stat(sha256("config")), undefined);
    assert.equal((await read(other, sha256("manifest"))).toString(), "manifest");
    await export_("b", ["small", randomBytes(1 << 20).toString("base64")]);
    assert.equal(await history.content.stat(sha256("manifest")), undefined);
    assert.equal((await read(history, sha256("small"))).toString(), "small");
  });

  it("takes refs of any characters and records of any size", async (t) => {
    const { history } = await new HistoryFleet().open(t, { coordinatorId: "c1" });
    await record(history, "a/../b*>. x=ü");
    await record(history, "large", { small: "1", large: "x".repeat(2 << 20) });
    assert.deepEqual((await listed(history)).sort(), ["COMPLETE a/../b*>. x=ü", "COMPLETE large"]);
    assert.deepEqual((await only(history, "large")).FrontendAttrs, { small: "1" });
    await record(history, "large");
    assert.deepEqual((await only(history, "large")).FrontendAttrs, {}, "a ref used again replaces the record");
  });

  it("does without the log when progress breaks off", async (t) => {
    const { history } = await new HistoryFleet().open(t, { coordinatorId: "c1" });
    const broken = (async function* () {
      yield* progressOf(1 << 20);
      throw new Error(`lost ${digestB}`);
    })();
    await history.record(build("a"), () => progressOf(0)).end({}, broken);
    assert.equal((await only(history, "a")).logs, undefined);
    assert.deepEqual(await collect(await history.progress("a", never)), []);
  });
});

async function only(history: FleetHistory, ref: string) {
  for await (const { record: found } of history.listen({ ...everything, ref, earlyExit: true }, never)) {
    if (found !== undefined) return found;
  }
  throw new Error(`no record of ${ref}`);
}

async function read(history: FleetHistory, digest: string | undefined): Promise<Buffer> {
  return Buffer.concat(await collect(history.content.read(parseDigest(digest ?? ""))));
}
