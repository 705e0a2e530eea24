import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseSymbolicMode } from "../../../src/filesystem/index.ts";

describe("parseSymbolicMode()", () => {
  for (const [text, before, after] of [
    ["755", 0o4600, 0o755],
    ["4755", 0, 0o4755],
    ["u=rwx,go=rx", 0o600, 0o755],
    ["u=rwx,go=u-w", 0, 0o755],
    ["a-w", 0o666, 0o444],
    ["go=", 0o777, 0o700],
    ["+x", 0o644, 0o755],
    ["u+s", 0o755, 0o4755],
    ["g=o", 0o704, 0o744],
    ["o+t", 0o777, 0o777],
    ["+t", 0o777, 0o1777],
  ] as const) {
    it(`${text} on ${before.toString(8)}`, () => assert.equal(parseSymbolicMode(text)(before, false), after));
  }

  it("sets X only where something may be executed already", () => {
    const mode = parseSymbolicMode("go=rX");
    assert.equal(mode(0o600, false), 0o644);
    assert.equal(mode(0o700, false), 0o755);
    assert.equal(mode(0o600, true), 0o655);
  });

  for (const text of ["", "u", "x", "u=q", "77777", "u+x,"]) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.throws(() => parseSymbolicMode(text), /invalid syntax/));
  }
});
