import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type BuildReport, excuse } from "../../chaos/build-report.ts";
import { isGood } from "../../chaos/summary.ts";

const failed: BuildReport = {
  ...{ kind: "chain", name: "n", head: "coordinator-0", from: 100, to: 200 },
  ...{ error: "Unavailable: agent abc was lost: no heartbeat", log: "", sending: false, hung: false },
};
const killed = { fault: "kill -9 coordinator", victim: "coordinator-0", from: 150, to: 160 };
const full = { fault: "full disk", victim: "agent-3", from: 150 };

describe("excuse()", () => {
  it("is there for a build whose coordinator was killed meanwhile", () => {
    assert.match(excuse(failed, [killed]) ?? "", /coordinator/);
    for (const other of [
      { ...killed, victim: "coordinator-1" },
      { ...killed, fault: "freeze coordinator" },
      { ...killed, from: 201, to: 300 },
      { ...killed, from: 10, to: 99 },
    ])
      assert.equal(excuse(failed, [other]), undefined);
  });

  it("is there for one that was sending to its client when the agent was lost", () => {
    assert.ok(excuse({ ...failed, sending: true }, []));
    assert.equal(excuse({ ...failed, sending: true, error: "exit code: 1" }, []), undefined);
  });

  it("is there for a step that saw a full disk, while one was full", () => {
    const report = { ...failed, error: "exit code: 1", log: "dd: write error: No space left on device" };
    assert.ok(excuse(report, [full]));
    assert.equal(excuse(report, []), undefined);
    assert.equal(excuse(failed, [full]), undefined);
  });

  it("is there for one that found no registry, while there was none", () => {
    const report = { ...failed, error: "Head ...: dial tcp 10.0.0.1:5000: connect: connection refused" };
    const restart = { fault: "restart registry", victim: "registry", from: 150, to: 160 };
    assert.ok(excuse(report, [restart]));
    assert.equal(excuse(report, []), undefined);
    assert.equal(excuse(failed, [restart]), undefined);
  });

  it("is never there for a build that hangs", () => {
    assert.equal(excuse({ ...failed, hung: true }, [killed]), undefined);
  });
});

describe("isGood()", () => {
  const none = { disturbances: [], skipped: new Map(), builds: [], allowed: [], failed: [], wrong: [], leaks: [] };
  it("allows no failure without an excuse, no wrong result, no leak", () => {
    assert.ok(isGood({ ...none, allowed: [{ build: failed, excuse: "its coordinator was killed" }] }));
    assert.ok(!isGood({ ...none, failed: [failed] }));
    assert.ok(!isGood({ ...none, wrong: [failed] }));
    assert.ok(!isGood({ ...none, leaks: ["mount"] }));
  });
});
