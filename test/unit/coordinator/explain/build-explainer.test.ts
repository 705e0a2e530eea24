import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { BuildHistoryRecord } from "../../../../src/api/gen/control.ts";
import { BuildExplainer, type BuildExplanation } from "../../../../src/coordinator/explain/index.ts";
import type { StepRecord } from "../../../../src/coordinator/history/index.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import { copy, image, local, recorded, step } from "./recorded-builds.ts";

interface Recorded {
  readonly build: BuildHistoryRecord;
  readonly steps?: readonly StepRecord[] | Error;
}

/** @param builds newest first */
function explainer(builds: readonly Recorded[], running: readonly BuildHistoryRecord[] = []): BuildExplainer {
  return new BuildExplainer({
    history: {
      builds: () => builds.map(({ build }) => build),
      running: () => [...running],
      steps: async (ref) => {
        const steps = builds.find(({ build }) => build.Ref === ref)?.steps;
        if (steps instanceof Error) throw steps;
        return steps;
      },
    },
    listings: {
      changes: async (before, after) =>
        before === sha256("lost")
          ? undefined
          : { changes: [{ path: `${before} ${after}`, change: "changed" }], more: 0 },
    },
    logger: silentLogger,
  });
}

function explain(builds: readonly Recorded[], more: { readonly build?: string; readonly step?: string } = {}) {
  const query = { build: "^0", step: "", maxFiles: 20, ...more };
  return explainer(builds).explain(query, new AbortController().signal);
}

/** Builds one after the other, told from the first to the last; explains the last. */
function last(...builds: readonly (readonly StepRecord[])[]): Promise<BuildExplanation> {
  return explain(builds.map((steps, at) => ({ build: recorded(`build${at}`, 10 * at), steps })).toReversed());
}

const reasons = ({ steps }: BuildExplanation) => steps.map(({ step, reason }) => `${step.name}: ${reason}`);
const onlyStep = ({ steps }: BuildExplanation) => {
  const [only, ...others] = steps;
  assert.ok(only && others.length === 0, `${steps.length} steps`);
  return only;
};

describe("BuildExplainer", () => {
  const base = image("alpine:3", undefined, { how: "cached" });

  it("tells root causes first, then what follows, then what happens in every build", async () => {
    const before = [base, local("1"), copy("COPY . .", 1, "one"), step("RUN make", { command: "make" }, [2])];
    const after = [base, local("2"), copy("COPY . .", 1, "two"), step("RUN make", { command: "make" }, [2])];
    const explained = await last(before, after);
    assert.deepEqual(reasons(explained), [
      "COPY . .: changed",
      "RUN make: follows",
      "[internal] load build context: local",
    ]);
    assert.deepEqual(explained.steps[0]?.causes, [
      {
        kind: "input",
        input: 1,
        name: "[internal] load build context",
        contents: { before: sha256("one"), after: sha256("two") },
        files: { changes: [{ path: `${sha256("one")} ${sha256("two")}`, change: "changed" }], more: 0 },
      },
    ]);
    assert.deepEqual(explained.steps[1]?.causes, [{ kind: "input", input: 0, name: "COPY . ." }]);
  });

  it("goes without names of files when they are lost", async () => {
    const build = (session: string, content: string) => [base, local(session), copy("COPY . .", 1, content)];
    const { steps } = await last(build("1", "lost"), build("2", "two"));
    const cause = steps[0]?.causes[0];
    assert.ok(cause?.kind === "input" && cause.contents !== undefined && cause.files === undefined);
  });

  it("compares with the step most like it, and of equals with the newest", async () => {
    const run = (command: string) => [base, step(`RUN ${command}`, { command }, [0])];
    const one = await last(run("make all"), run("make all quietly"), run("unrelated"), run("make all quietly again"));
    assert.equal(onlyStep(one).earlier?.build.Ref, "build1");
    const same = (value: string) => [base, step("RUN make", { command: "make", "variable A": value }, [0])];
    const two = await last(same("1"), same("2"), same("3"));
    assert.equal(onlyStep(two).earlier?.build.Ref, "build1");
    assert.deepEqual(onlyStep(two).causes, [{ kind: "part", what: "variable A", before: "2", after: "3" }]);
  });

  it("takes a step at the same place of a related build for an earlier form of it", async () => {
    const build = (command: string) => [
      base,
      step("[2/3] RUN first", { command: "first" }, [0], { how: "cached" }),
      step(`[3/3] RUN ${command}`, { command }, [1]),
    ];
    assert.equal(onlyStep(await last(build("one"), build("other"))).reason, "changed");
    const elsewhere = [image("debian"), step("[3/3] RUN one", { command: "one" }, [0])];
    assert.equal(onlyStep(await last(elsewhere, build("other"))).reason, "first");
  });

  it("says build argument where either build had one", async () => {
    const steps = (value: string) => [base, step("RUN make", { "variable V": value }, [0])];
    const explained = await explain([
      { build: recorded("new", 10, { "build-arg:V": "2" }), steps: steps("2") },
      { build: recorded("old", 0), steps: steps("1") },
    ]);
    assert.deepEqual(onlyStep(explained).causes, [{ kind: "part", what: "build argument V", before: "1", after: "2" }]);
  });

  it("tells images and branches that have moved from others that were chosen", async () => {
    const [one, two] = [sha256("one"), sha256("two")];
    const moved = onlyStep(await last([image("app:1", one)], [image("app:1", two)]));
    assert.deepEqual(moved.causes, [{ kind: "moved", what: "app:1", before: one, after: two }]);
    const git = (commit: string) => [step("git", { source: "git://host/repo", commit }, [], { kind: "source" })];
    assert.deepEqual(onlyStep(await last(git("a"), git("b"))).causes, [
      { kind: "moved", what: "git://host/repo", before: "a", after: "b" },
    ]);
    const run = step("RUN x", { command: "x" }, [0], { how: "cached" });
    const chosen = onlyStep(await last([image("app:1", one), run], [image("other:1", two), run]));
    assert.deepEqual(chosen.causes, [{ kind: "part", what: "image", before: "app:1", after: "other:1" }]);
  });

  it("looks behind inputs that did not run for what differs", async () => {
    const build = (name: string) => [
      image(name, undefined, { how: "unused" }),
      step("RUN below", { command: "below" }, [0], { how: "cached" }),
      step("RUN above", { command: "above" }, [1]),
    ];
    const { reason, causes } = onlyStep(await last(build("one:1"), build("two:1")));
    assert.equal(reason, "changed");
    assert.deepEqual(causes, [
      {
        kind: "input",
        input: 0,
        name: "RUN below",
        because: {
          step: build("two:1")[0]?.name,
          causes: [{ kind: "part", what: "image", before: "one:1", after: "two:1" }],
        },
      },
    ]);
  });

  it("tells that no cache was wanted, and what that means for those above", async () => {
    const build = (more: Partial<StepRecord>) => [
      base,
      step("RUN below", { command: "below" }, [0], more),
      step("RUN above", { command: "above" }, [1]),
    ];
    const explained = await last(build({}), build({ ignoreCache: true }));
    assert.deepEqual(reasons(explained), ["RUN below: no-cache", "RUN above: follows"]);
    const joined = await last(build({}), build({ ignoreCache: true, how: "joined" }));
    assert.deepEqual(onlyStep(joined).causes, [
      { kind: "input", input: 0, name: "RUN below", because: { step: "RUN below", causes: [{ kind: "no-cache" }] } },
    ]);
  });

  it("goes by any of the keys of an image, and by content where both know it", async () => {
    const keys = (...names: readonly string[]) => names.map((name) => sha256(name));
    const build = (manifest: string, command: string) => [
      image("app", sha256(manifest), { how: "cached", keys: keys(manifest, "config") }),
      step("RUN x", { command }, [0]),
    ];
    const explained = onlyStep(await last(build("one", "x"), build("two", "y")));
    assert.deepEqual(
      explained.causes.map(({ kind }) => kind),
      ["part"],
    );
    const reads = (made: string) => [
      step("RUN make", { command: made }, [], { how: "cached" }),
      copy("COPY --from", 0, "same"),
      step("RUN use", { command: `use ${made}` }, [{ step: 0, output: 0, content: sha256("same") }]),
    ];
    const same = (await last(reads("one"), reads("two"))).steps.find(({ step }) => step.name === "RUN use");
    assert.deepEqual(same?.causes, [{ kind: "part", what: "command", before: "use one", after: "use two" }]);
  });

  it("tells why the same ran again", async () => {
    const steps = (how: StepRecord["how"]) => [base, step("RUN make", { command: "make" }, [0], { how })];
    const again = async (earlier: Recorded) =>
      onlyStep(await explain([{ build: recorded("new", 10), steps: steps("ran") }, earlier])).reason;
    assert.equal(await again({ build: recorded("old", 0), steps: steps("ran") }), "gone");
    assert.equal(await again({ build: recorded("old", 0), steps: steps("cached") }), "gone");
    assert.equal(await again({ build: recorded("old", 0), steps: steps("failed") }), "failed-before");
    assert.equal(await again({ build: recorded("old", 9.5), steps: steps("ran") }), "concurrent");
    const failed = { ...recorded("old", 0), error: { code: 2, message: "canceled", details: [] } };
    assert.equal(await again({ build: failed, steps: steps("unused") }), "first", "it was cut off before it ran");
  });

  it("says so when the keys differ in what is not shown", async () => {
    const build = (secret: string) => [step("git", { source: "git://xxxxx@host" }, [], { keys: [sha256(secret)] })];
    assert.deepEqual(onlyStep(await last(build("a"), build("b"))).causes, [{ kind: "hidden" }]);
  });

  it("tells of files that are used as a whole", async () => {
    const build = (session: string) => [local(session), step("RUN x", { command: "x" }, [0])];
    const explained = (await last(build("1"), build("2"))).steps[0];
    assert.equal(explained?.reason, "changed");
    assert.deepEqual(explained?.causes, [{ kind: "session", input: 0, name: "[internal] load build context" }]);
  });

  it("tells inputs that came or went", async () => {
    const before = [base, step("RUN x", { command: "x" }, [0])];
    const after = [base, image("tools", undefined, { how: "cached" }), step("RUN x", { command: "x" }, [0, 1])];
    assert.deepEqual(onlyStep(await last(before, after)).causes, [
      { kind: "part", what: "input #2", after: after[1]?.name },
    ]);
  });

  it("explains chosen steps that did not run", async () => {
    const build = {
      build: recorded("one", 0),
      steps: [base, step("RUN a", {}, [0], { how: "unused", number: 2 }), step("RUN b", {}, [1], { how: "joined" })],
    };
    assert.deepEqual(reasons(await explain([build])), []);
    assert.deepEqual(reasons(await explain([build], { step: "RUN" })), ["RUN a: unused", "RUN b: joined"]);
    assert.deepEqual(reasons(await explain([build], { step: "#2" })), ["RUN a: unused"]);
    assert.equal((await explain([build], { step: "FROM" })).steps[0]?.reason, "cached");
    await assert.rejects(explain([build], { step: "7" }), { code: Code.NotFound });
  });

  it("passes over builds whose steps are not there", async () => {
    const steps = [base, step("RUN x", { command: "x" }, [0])];
    const explained = await explain([
      { build: recorded("new", 30), steps },
      { build: recorded("bad", 20), steps: new Error("not msgpack") },
      { build: recorded("none", 10) },
      { build: recorded("old", 0), steps },
    ]);
    assert.equal(explained.compared, 1);
    assert.equal(onlyStep(explained).earlier?.build.Ref, "old");
    await assert.rejects(explain([{ build: recorded("none", 0) }]), { code: Code.NotFound });
  });

  it("finds builds by ref, its beginning, and age", async () => {
    const builds = ["abc2", "abc1", "xyz"].map((ref, at) => ({ build: recorded(ref, 10 - at), steps: [] }));
    const found = async (build: string) => (await explain(builds, { build })).build.Ref;
    assert.equal(await found("^0"), "abc2");
    assert.equal(await found("^2"), "xyz");
    assert.equal(await found("x"), "xyz");
    assert.equal(await found("fleet/fleet0/abc1"), "abc1");
    await assert.rejects(found("abc"), {
      code: Code.InvalidArgument,
      message: '2 builds begin with "abc": abc2, abc1',
    });
    for (const name of ["^3", "nothing", ""]) await assert.rejects(found(name), { code: Code.NotFound });
    const running = explainer(builds, [recorded("going", 20)]);
    const query = { build: "going", step: "", maxFiles: 1 };
    await assert.rejects(running.explain(query, new AbortController().signal), { code: Code.FailedPrecondition });
  });

  it("compares chains of ten thousand steps", async () => {
    const chain = (first: string, how: StepRecord["how"]) => [
      step("RUN first", { command: first }),
      ...Array.from({ length: 10_000 }, (_, at) => step(`RUN ${at}`, { command: `${at}` }, [at], { how })),
      step("RUN last", { command: "last" }, [10_000]),
    ];
    const cached = await last(chain("a", "cached"), chain("b", "cached"));
    const cause = cached.steps.find(({ step }) => step.name === "RUN last")?.causes[0];
    assert.ok(cause?.kind === "input");
    assert.equal(cause.because?.step, "RUN first");
    const ran = await last(chain("a", "ran"), chain("b", "ran"));
    assert.equal(ran.steps.filter(({ reason }) => reason === "follows").length, 10_001);
  });
});
