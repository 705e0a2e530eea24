import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readResults } from "../../../../src/coordinator/builds/read-results.ts";
import type { Edge } from "../../../../src/core/seams/op.ts";
import { edge, vertex } from "../../../helpers/number-graph.ts";

const lost = new Error("layer l is lost");
const made = edge(vertex({ name: "made" }));

/** Reads 1, which is lost, then what is made in its stead. @returns what was read, and what the build said */
async function read(work: (solved: number) => Promise<number>, more: { readonly signal?: AbortSignal } = {}) {
  const log: string[] = [];
  const result = await readResults(work, {
    job: { discredit: async (error) => (error === lost ? [made] : []) },
    solved: 1,
    again: async (solved: number, edges: readonly Edge[]) => {
      assert.deepEqual(edges, [made]);
      return solved + 1;
    },
    progress: { status: () => {}, log: (_, data) => void log.push(Buffer.from(data).toString()), warn: () => {} },
    signal: more.signal ?? new AbortController().signal,
  });
  return { result, log };
}

describe("readResults()", () => {
  it("does the work again on what was made anew, and says why", async () => {
    const work = async (solved: number) => {
      if (solved < 3) throw lost;
      return solved * 10;
    };
    const note = "[fleet] layer l is lost; what is lost is made anew\n";
    assert.deepEqual(await read(work), { result: 30, log: [note, note] });
  });

  it("passes on other failures, those of cancelled work, and those that do not end", async () => {
    const failure = new Error("exit code: 1");
    await assert.rejects(
      read(() => Promise.reject(failure)),
      failure,
    );
    let times = 0;
    const failing = async () => {
      times++;
      throw lost;
    };
    await assert.rejects(read(failing, { signal: AbortSignal.abort() }), lost);
    assert.equal(times, 1);
    await assert.rejects(read(failing), lost);
    assert.equal(times, 12);
  });
});
