import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { connect } from "@nats-io/transport-node";
import { NatsKeyValueStore, NatsMessageBus } from "../../../src/bus/index.ts";
import { LocalContentStore } from "../../../src/content/index.ts";
import { FleetHistory } from "../../../src/coordinator/history/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { systemClock } from "../../../src/util/system-clock.ts";
import { NatsServer } from "../../helpers/nats-server.ts";
import { build, collect, everything, listed, next, progressOf } from "../../unit/coordinator/history/history-setup.ts";

/** The history of a coordinator with a connection of its own. */
async function open(t: TestContext, server: NatsServer, coordinatorId: string): Promise<FleetHistory> {
  const directory = await mkdtemp(join(tmpdir(), "history-"));
  const connection = await connect({ servers: server.url });
  t.after(async () => {
    await connection.close();
    await rm(directory, { recursive: true, force: true });
  });
  const history = await FleetHistory.open({
    coordinatorId,
    keyValues: new NatsKeyValueStore(connection),
    store: await LocalContentStore.open(directory),
    bus: new NatsMessageBus(connection),
    clock: systemClock,
    logger: silentLogger,
  });
  t.after(() => history[Symbol.asyncDispose]());
  return history;
}

describe("history of a fleet on NATS", () => {
  let server: NatsServer;
  before(async () => {
    server = await NatsServer.start();
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
  });

  it("is one for all coordinators", async (t) => {
    const one = await open(t, server, "one");
    const two = await open(t, server, "two");
    const stop = new AbortController();
    const seen = two.listen(everything, stop.signal);
    const first = next(seen);
    const recording = one.record(build("a"), () => progressOf(0));
    assert.equal(await first, "STARTED a");
    assert.deepEqual(await listed(two, { activeOnly: true }), ["STARTED a"]);

    const error = new BuildError(Code.NotFound, "nothing there");
    await recording.end({ error }, progressOf(1000));
    assert.deepEqual(await listed(one), ["COMPLETE a"], "what was written is read at once");
    assert.equal(await next(seen), "COMPLETE a");
    assert.deepEqual(await listed(two, { filters: ["status==error"] }), ["COMPLETE a"]);
    const never = new AbortController().signal;
    assert.deepEqual(await collect(await two.progress("a", never)), await collect(await one.progress("a", never)));

    await Promise.all([one.update("a", "pin"), two.update("a", "pin")]);
    assert.deepEqual([await next(seen), await next(seen)], ["COMPLETE a", "COMPLETE a"]);
    for await (const { record } of two.listen({ ...everything, earlyExit: true }, never))
      assert.deepEqual([record?.pinned, record?.Generation], [true, 2]);

    await one.update("a", "delete");
    assert.equal(await next(seen), "DELETED a");
    assert.deepEqual(await listed(one), []);
    assert.deepEqual(await listed(two), []);
    stop.abort();
    await seen.next();
  });

  it("outlives its coordinators", async (t) => {
    const one = await open(t, server, "one");
    await one.record(build("b"), () => progressOf(0)).end({}, progressOf(0));
    await one[Symbol.asyncDispose]();
    assert.deepEqual(await listed(await open(t, server, "later")), ["COMPLETE b"]);
  });
});
