import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BuildError } from "../../src/core/errors/build-error.ts";
import { Code } from "../../src/core/errors/code.ts";
import type { MessageBus } from "../../src/core/seams/message-bus.ts";

/** What every MessageBus must do. `open` gives a fresh bus; the suite disposes it. */
export function runMessageBusSuite(name: string, open: () => Promise<MessageBus>): void {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const text = (data: Uint8Array) => new TextDecoder().decode(data);

  describe(`MessageBus: ${name}`, () => {
    it("delivers in order to every matching subscription and to no other", async () => {
      await using bus = await open();
      const seen: string[] = [];
      const done = Promise.withResolvers<void>();
      using _exact = bus.subscribe("a.b", (m) => seen.push(`exact ${text(m.data)}`));
      using _star = bus.subscribe("a.*", (m) => {
        seen.push(`star ${text(m.data)}`);
        if (text(m.data) === "end") done.resolve();
      });
      using _other = bus.subscribe("a.b.c", () => seen.push("wrong"));
      await bus.flush();
      for (const word of ["1", "2", "end"]) bus.publish("a.b", bytes(word));
      await done.promise;
      await bus.flush();
      assert.deepEqual(
        seen.filter((s) => s.startsWith("exact")),
        ["exact 1", "exact 2", "exact end"],
      );
      assert.deepEqual(
        seen.filter((s) => s.startsWith("star")),
        ["star 1", "star 2", "star end"],
      );
      assert.equal(seen.length, 6);
    });

    it("answers requests", async () => {
      await using bus = await open();
      using _s = bus.subscribe("echo.>", (m) => m.respond(bytes(`${m.subject} ${text(m.data)}`)));
      await bus.flush();
      const answer = await bus.request("echo.x.y", bytes("hi"), { timeoutMs: 5000 });
      assert.equal(text(answer), "echo.x.y hi");
    });

    it("fails a request nobody listens to with Unavailable", async () => {
      await using bus = await open();
      await assert.rejects(
        bus.request("nobody", bytes(""), { timeoutMs: 5000 }),
        (e) => e instanceof BuildError && e.code === Code.Unavailable && e.infrastructure,
      );
    });

    it("fails a request without answer with DeadlineExceeded", async () => {
      await using bus = await open();
      using _s = bus.subscribe("silent", () => {});
      await bus.flush();
      await assert.rejects(
        bus.request("silent", bytes(""), { timeoutMs: 50 }),
        (e) => e instanceof BuildError && e.code === Code.DeadlineExceeded,
      );
    });

    it("ends a waiting request when its signal aborts", async () => {
      await using bus = await open();
      using _s = bus.subscribe("silent", () => abort.abort(new Error("enough")));
      const abort = new AbortController();
      await bus.flush();
      await assert.rejects(bus.request("silent", bytes(""), { timeoutMs: 60_000, signal: abort.signal }), /enough/);
    });

    it("delivers nothing after a subscription is disposed", async () => {
      await using bus = await open();
      let count = 0;
      const subscription = bus.subscribe("once", () => count++);
      await bus.flush();
      subscription[Symbol.dispose]();
      bus.publish("once", bytes(""));
      await bus.flush();
      await bus.flush();
      assert.equal(count, 0);
    });
  });
}
