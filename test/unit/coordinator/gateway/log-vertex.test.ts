import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LimitedLog } from "../../../../src/coordinator/gateway/limited-log.ts";
import { LogVertex } from "../../../../src/coordinator/gateway/log-vertex.ts";
import type { ProgressWriter } from "../../../../src/core/seams/progress.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function vertices() {
  const seen: string[] = [];
  let shown = 0;
  const ended: Promise<void>[] = [];
  const inVertex = (body: (progress: ProgressWriter) => Promise<void>) => {
    shown++;
    const done = Promise.resolve().then(() =>
      body({ status: () => {}, warn: () => {}, log: (_, data) => void seen.push(Buffer.from(data).toString()) }),
    );
    ended.push(done);
    return done;
  };
  return { inVertex, seen, ended, shown: () => shown };
}

describe("the output of a frontend", () => {
  it("makes a vertex appear, which ends with it", async () => {
    const { inVertex, seen, ended, shown } = vertices();
    const log = new LogVertex(inVertex);
    assert.equal(shown(), 0);
    log.write(2, bytes("one"));
    log.write(2, bytes("two"));
    await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    log.write(2, bytes("three"));
    log.end();
    await Promise.all(ended);
    assert.deepEqual([seen, shown()], [["one", "two", "three"], 1]);
  });

  it("makes none when there is nothing", () => {
    const { inVertex, shown } = vertices();
    new LogVertex(inVertex).end();
    assert.equal(shown(), 0);
  });

  it("is cut after a mebibyte", () => {
    const written: Uint8Array[] = [];
    {
      using log = new LimitedLog({ write: (_, data) => void written.push(data), end: () => {} });
      for (let i = 0; i < 40; i++) log.write(new Uint8Array(64 << 10));
    }
    const total = written.reduce((sum, data) => sum + data.length, 0);
    assert.ok(total > 1 << 20 && total < (1 << 20) + 200);
    assert.match(Buffer.from(written.at(-1) ?? []).toString(), /output clipped/);
  });
});
