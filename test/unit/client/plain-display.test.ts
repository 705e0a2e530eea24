import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { StatusResponse } from "../../../src/api/gen/control.ts";
import { PlainDisplay } from "../../../src/client/progress/plain-display.ts";
import { log, status, TextBuffer, vertex, warning } from "./statuses.ts";

/** Plays messages, each at a time in seconds; returns everything written. */
function play(...messages: readonly (readonly [time: number, message: StatusResponse])[]): string {
  const out = new TextBuffer();
  let now = 0;
  const display = new PlainDisplay(out, { env: {}, now: () => now });
  for (const [time, message] of messages) {
    now = 1_700_000_000_000 + time * 1000;
    display.update(message);
  }
  display.finish();
  return out.text;
}

describe("PlainDisplay", () => {
  it("writes a step with its parts, log and duration", () => {
    const text = play(
      [0, vertex("a", { name: "[1/2] FROM x", started: 0 })],
      [1, status("a", "sha256:00", { current: 1500, total: 3000, time: 1, started: 0.5 })],
      [2, status("a", "sha256:00", { current: 3000, total: 3000, time: 2, started: 0.5, completed: 2 })],
      [3, log("a", 3, "one\ntwo\n")],
      [14, log("a", 13.5, "late\n")],
      [124, vertex("a", { name: "[1/2] FROM x", started: 0, completed: 123.456 })],
    );
    assert.equal(
      text,
      `#1 [1/2] FROM x
#1 sha256:00 1.50kB / 3.00kB 0.5s
#1 sha256:00 3.00kB / 3.00kB 1.5s done
#1 3.000 one
#1 3.000 two
#1 13.50 late
#1 DONE 123.5s
`,
    );
  });

  it("says how steps ended: cached, canceled, failed; and repeats what the failed one wrote last", () => {
    const lines = Array.from({ length: 12 }, (_, index) => `line ${index + 1}\n`).join("");
    const text = play(
      [0, vertex("a", { started: 0, completed: 0, cached: true })],
      [1, vertex("b", { started: 0, completed: 1, error: "failed to fetch: context canceled" })],
      [2, vertex("c", { started: 2 })],
      [3, log("c", 2.5, lines)],
      [4, vertex("c", { started: 2, completed: 4, error: "exit code: 1" })],
    );
    const shown = Array.from({ length: 12 }, (_, index) => `#3 0.500 line ${index + 1}\n`).join("");
    const kept = Array.from({ length: 10 }, (_, index) => `0.500 line ${index + 3}\n`).join("");
    assert.equal(
      text,
      `#1 a\n#1 CACHED\n\n#2 b\n#2 CANCELED\n\n#3 c\n${shown}#3 ERROR: exit code: 1\n------\n > c:\n${kept}------\n`,
    );
  });

  it("writes the rest of an unfinished line after it", () => {
    const text = play(
      [0, vertex("a", { started: 0 })],
      [1, log("a", 1, "progress 1")],
      [2, log("a", 2, ", 2")],
      [3, log("a", 3, ", done\nnext")],
      [4, vertex("a", { started: 0, completed: 4 })],
    );
    assert.equal(text, "#1 a\n#1 1.000 progress 1, 2, done\n#1 3.000 next\n#1 DONE 4.0s\n");
  });

  it("keeps characters whole that come in two messages", () => {
    const [first, second] = [Buffer.from("ü").subarray(0, 1), Buffer.from("ü\n").subarray(1)];
    const half = log("a", 1, "");
    const rest = log("a", 1, "");
    for (const item of half.logs) item.msg = first;
    for (const item of rest.logs) item.msg = second;
    const text = play([0, vertex("a", { started: 0 })], [1, half], [2, rest], [3, warning("a", "ß")]);
    assert.match(text, /^#1 1\.000 ü$/m);
  });

  it("stays with a step while it is busy, and comes back to one it has left", () => {
    const text = play(
      [0, vertex("a", { started: 0 })],
      [0.2, log("a", 0.2, "a1\n")],
      [0.4, vertex("b", { started: 0.4 })],
      [0.6, log("b", 0.6, "b1\n")],
      [0.8, log("a", 0.8, "a2\n")],
      [11, log("b", 11, "b2\n")],
      [12, vertex("a", { started: 0, completed: 12 })],
      [13, vertex("b", { started: 0.4, completed: 13 })],
    );
    assert.equal(
      text,
      `#1 a
#1 0.200 a1
#1 0.800 a2
#1 ...

#2 b
#2 0.200 b1
#2 10.60 b2
#2 ...

#1 a
#1 DONE 12.0s

#2 b
#2 DONE 12.6s
`,
    );
  });

  it("holds back small progress of a part until it matters", () => {
    const part = (current: number, time: number) => status("a", "x", { current, total: 1000, time, started: 0 });
    const text = play(
      [0, vertex("a", { started: 0 })],
      [1, part(10, 1)],
      [2, part(20, 2)],
      [3, part(70, 3)],
      [4, part(75, 4)],
      [9, part(76, 9)],
    );
    assert.deepEqual(text.match(/\d+B \//g), ["10B /", "70B /", "76B /"]);
  });

  it("shows a group of vertices as one, once a member that counts has begun", () => {
    const group = { id: "g", name: "loading" };
    const text = play(
      [0, vertex("m1", { started: 0, completed: 1, group: { ...group, weak: true } })],
      [1, vertex("m2", { started: 2, group })],
      [2, log("m2", 3, "hello\n")],
      [3, vertex("m2", { started: 2, completed: 4, group })],
    );
    assert.equal(text, "#1 loading\n#1 1.000 hello\n#1 DONE 3.0s\n");
  });

  it("shows the agent of a step, and warnings once", () => {
    const text = play(
      [0, vertex("a", { started: 0 })],
      [1, status("a", "agent host-1", { time: 1, started: 1 })],
      [2, warning("a", "careful")],
      [3, status("a", "agent host-2", { time: 3, started: 3 })],
      [4, vertex("a", { started: 0, completed: 4 })],
    );
    assert.equal(text, "#1 a\n#1 on agent host-1\n#1 WARN: careful\n#1 on agent host-2\n#1 DONE 4.0s\n");
  });

  it("cuts long names only when asked to", () => {
    const name = "x".repeat(100);
    const out = new TextBuffer();
    const display = new PlainDisplay(out, { env: { PROGRESS_NO_TRUNC: "0" } });
    display.update(vertex("a", { name, started: 0 }));
    display.finish();
    assert.equal(out.text, `#1 ${"x".repeat(72)}...\n`);
    assert.equal(play([0, vertex("a", { name, started: 0 })]), `#1 ${name}\n`);
  });
});
