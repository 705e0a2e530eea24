import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LateControl } from "../../../../src/worker-agent/containers/late-control.ts";

describe("LateControl", () => {
  it("gives a process what came before it ran, the last size and each signal once", () => {
    const seen: string[] = [];
    const control = new LateControl();
    control.resize({ rows: 1, columns: 2 });
    for (const signal of [2, 9, 2]) control.signal(signal);
    control.resize({ rows: 3, columns: 4 });
    control.start({
      signal: (signal) => seen.push(`signal ${signal}`),
      resize: ({ rows, columns }) => seen.push(`size ${rows} ${columns}`),
    });
    control.signal(15);
    control.resize({ rows: 5, columns: 6 });
    assert.deepEqual(seen, ["size 3 4", "signal 2", "signal 9", "signal 15", "size 5 6"]);
  });
});
