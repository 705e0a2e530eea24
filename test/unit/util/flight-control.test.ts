import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FlightControl } from "../../../src/util/flight-control.ts";

describe("FlightControl", () => {
  it("does the work once for all who wait, and again for who comes later", async () => {
    const flights = new FlightControl<number>();
    let count = 0;
    const work = async () => ++count;
    assert.deepEqual(await Promise.all([flights.do("k", work), flights.do("k", work)]), [1, 1]);
    assert.equal(await flights.do("k", work), 2);
  });

  it("aborts the work when the last caller has gone", async () => {
    const flights = new FlightControl<void>();
    const aborted = Promise.withResolvers<void>();
    const work = (signal: AbortSignal) =>
      new Promise<void>((_, reject) => {
        signal.addEventListener("abort", () => {
          aborted.resolve();
          reject(signal.reason);
        });
      });
    const callers = [new AbortController(), new AbortController()];
    const runs = callers.map(({ signal }) => assert.rejects(flights.do("k", work, signal), /left/));
    for (const caller of callers) caller.abort(new Error("left"));
    await Promise.all(runs);
    await aborted.promise;
  });

  it("begins again for those who wait when the work fails after its starter has gone", async () => {
    const flights = new FlightControl<string>();
    const first = Promise.withResolvers<string>();
    const starter = new AbortController();
    const begun = assert.rejects(
      flights.do("k", () => first.promise, starter.signal),
      /left/,
    );
    let again = 0;
    const retry = async () => {
      again++;
      return "second";
    };
    const joined = [flights.do("k", retry), flights.do("k", retry)];
    starter.abort(new Error("left"));
    await begun;
    first.reject(new Error("the starter's session is gone"));
    assert.deepEqual(await Promise.all(joined), ["second", "second"]);
    assert.equal(again, 1);
  });

  it("shares a failure while its starter waits", async () => {
    const flights = new FlightControl<string>();
    const fail = async () => {
      throw new Error("no luck");
    };
    const runs = [flights.do("k", fail), flights.do("k", async () => "unused")];
    for (const run of runs) await assert.rejects(run, /no luck/);
  });
});
