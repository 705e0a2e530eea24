import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connectDaemon, withReconnects } from "../../../src/client/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import type { Clock } from "../../../src/core/seams/clock.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { type GrpcClient, GrpcServer, listenGrpc } from "../../../src/grpc/index.ts";

const lost = () => new BuildError(Code.Unavailable, "the connection was closed", { infrastructure: true });
const refused = () => new BuildError(Code.Unavailable, "connection refused", { infrastructure: true });

/** Sleeping takes no time and moves the clock. */
class QuickClock implements Clock {
  readonly slept: number[] = [];
  #now = 0;

  now(): number {
    return this.#now;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.slept.push(ms);
    this.#now += ms;
  }
}

class Setup {
  readonly clock = new QuickClock();
  readonly notices: string[] = [];
  readonly abort = new AbortController();
  connections = 0;
  open = 0;
  /** What the next attempts to connect fail with. */
  readonly refusals: BuildError[] = [];

  run<T>(use: (attempt: number) => Promise<T>, passes?: (error: unknown) => boolean): Promise<T> {
    let attempts = 0;
    return withReconnects(
      {
        connect: async () => {
          this.connections++;
          const refusal = this.refusals.shift();
          if (refusal !== undefined) throw refusal;
          this.open++;
          return {
            [Symbol.asyncDispose]: async () => {
              this.open--;
            },
          } as GrpcClient;
        },
        signal: this.abort.signal,
        onNotice: (text) => this.notices.push(text),
        clock: this.clock,
        ...(passes === undefined ? {} : { passes }),
      },
      () => use(attempts++),
    );
  }
}

describe("withReconnects()", () => {
  it("goes on over a new connection when the first is lost", async () => {
    const setup = new Setup();
    const result = await setup.run(async (attempt) => {
      if (attempt < 2) throw lost();
      return `after ${attempt}`;
    });
    assert.equal(result, "after 2");
    assert.equal(setup.connections, 3);
    assert.equal(setup.open, 0);
    const again = ["the connection was closed; connecting again", "connected again"];
    assert.deepEqual(setup.notices, [...again, ...again]);
  });

  it("does not repeat what the daemon answers, be it Unavailable", async () => {
    for (const error of [
      new BuildError(Code.Unavailable, "registry is down"),
      new BuildError(Code.Unknown, "exit 1"),
    ]) {
      const setup = new Setup();
      await assert.rejects(
        setup.run(() => Promise.reject(error)),
        error,
      );
      assert.equal(setup.connections, 1);
      assert.equal(setup.open, 0);
    }
  });

  it("fails at once when the first connection cannot be had", async () => {
    const setup = new Setup();
    setup.refusals.push(refused());
    await assert.rejects(
      setup.run(async () => {}),
      /connection refused/,
    );
    assert.equal(setup.connections, 1);
  });

  it("waits longer and longer for a daemon, with a limit", async () => {
    const setup = new Setup();
    const run = setup.run(async (attempt) => {
      if (attempt > 0) return;
      setup.refusals.push(...Array.from({ length: 6 }, refused));
      throw lost();
    });
    await run;
    assert.equal(setup.clock.slept.length, 7);
    for (const [index, longest] of [500, 1000, 2000, 4000, 5000, 5000, 5000].entries()) {
      const slept = setup.clock.slept[index] ?? 0;
      assert.ok(slept >= longest / 2 && slept <= longest, `${slept} of ${longest}`);
    }
  });

  it("gives up on a daemon that stays away, and says what was lost", async () => {
    const setup = new Setup();
    const run = setup.run(() => {
      setup.refusals.push(...Array.from({ length: 1000 }, refused));
      return Promise.reject(lost());
    });
    await assert.rejects(run, {
      message: "gave up after 120 seconds (connection refused): the connection was closed",
      infrastructure: false,
    });
    assert.ok(setup.connections < 60);
  });

  it("gives up on connections that are lost again and again", async () => {
    const setup = new Setup();
    await assert.rejects(
      setup.run(() => Promise.reject(lost())),
      /the connection was closed/,
    );
    assert.equal(setup.connections, 21);
    assert.equal(setup.open, 0);
  });

  it("does not go on when the user has had enough", async () => {
    const setup = new Setup();
    const run = setup.run(() => {
      setup.abort.abort(new BuildError(Code.Canceled, "context canceled"));
      return Promise.reject(lost());
    });
    await assert.rejects(run, /the connection was closed/);
    assert.equal(setup.connections, 1);
  });

  it("goes on over errors that its user lets pass", async () => {
    const setup = new Setup();
    const run = async (attempt: number) => {
      if (attempt === 0) throw new BuildError(Code.Unknown, "job ID a exists");
      return "done";
    };
    assert.equal(await setup.run(run, (error) => String(error).includes("exists")), "done");
  });
});

describe("connectDaemon()", () => {
  it("takes the first of several addresses that answers", async () => {
    await using server = new GrpcServer({ logger: silentLogger });
    await using listener = await listenGrpc(server, "tcp://127.0.0.1:0");
    const address = `unix:///no/such.sock,${listener.address}`;
    await using client = await connectDaemon({ address, timeoutMs: 5000 });
    assert.ok(client.usable);
  });

  it("names all addresses when none answers", async () => {
    await assert.rejects(connectDaemon({ address: "unix:///no/a.sock,unix:///no/b.sock", timeoutMs: 5000 }), {
      code: Code.Unavailable,
      message: /a\.sock: no such socket.*; .*b\.sock: no such socket/,
    });
  });
});
