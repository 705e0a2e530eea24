import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ImageEnv } from "../../../../../src/frontend/dockerfile/image/index.ts";

describe("ImageEnv", () => {
  it("changes the first entry of a key in its place and keeps what it does not know", () => {
    const env = new ImageEnv(["A=1", "B", "A=2", "=x"]);
    env.set("A", "3");
    env.set("C", "");
    env.set("B", "b=b");
    assert.deepEqual(env.entries, ["A=3", "B=b=b", "A=2", "=x", "C="]);
    assert.deepEqual([env.has("C"), env.has("D")], [true, false]);
  });

  it("shares nothing with what it was made of", () => {
    const first = new ImageEnv(["A=1"]);
    new ImageEnv(first.entries).set("A", "2");
    assert.deepEqual(first.pairs(), [["A", "1"]]);
  });
});
