import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { NatsKeyValueStore, NatsMessageBus } from "../../../src/bus/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { runKeyValueSuite } from "../../conformance/key-value-suite.ts";
import { runMessageBusSuite } from "../../conformance/message-bus-suite.ts";
import { NatsServer } from "../../helpers/nats-server.ts";
import { waitFor } from "../../helpers/sandbox/index.ts";

let server: NatsServer;
before(async () => {
  server = await NatsServer.start();
});
after(async () => {
  await server[Symbol.asyncDispose]();
});

runMessageBusSuite("nats", async () => new NatsMessageBus(await connect({ servers: server.url })));

it("NatsMessageBus survives a message that its handler cannot read", async () => {
  const bad: string[] = [];
  await using bus = new NatsMessageBus(await connect({ servers: server.url }), (subject) => void bad.push(subject));
  const read: string[] = [];
  using _s = bus.subscribe("text", (message) => {
    if (message.data.length === 0) throw new Error("empty");
    read.push(new TextDecoder().decode(message.data));
    message.respond(new Uint8Array());
  });
  await bus.flush();
  bus.publish("text", new Uint8Array());
  await bus.request("text", new TextEncoder().encode("fine"), { timeoutMs: 5000 });
  assert.deepEqual([bad, read], [["text"], ["fine"]]);
});

let count = 0;
runKeyValueSuite("nats", async (use) => {
  const connection = await connect({ servers: server.url });
  try {
    await use(new NatsKeyValueStore(connection, `t${count++}`));
  } finally {
    await connection.close();
  }
});

it("NatsKeyValueStore leaves nothing of deleted keys, and all of those written again", async () => {
  const connection = await connect({ servers: server.url });
  try {
    const bucket = await new NatsKeyValueStore(connection, "marks", 0).open("b");
    const value = new Uint8Array([1]);
    const keys = Array.from({ length: 20 }, (_, index) => `k/${index}`);
    for (const key of keys) await bucket.put(key, value);
    for (const key of keys) await bucket.delete(key);
    await bucket.put("k/7", value);
    using watch = bucket.watch("", () => {});
    await watch.ready;
    const { streams } = await jetstreamManager(connection);
    const left = async () => (await streams.info("KV_marks-b")).state.messages;
    await waitFor("markers to go", async () => (await left()) === 1);
    assert.deepEqual([...((await bucket.get("k/7"))?.value ?? [])], [1]);
    assert.ok((await bucket.create("k/3", value)) > 0);
    await bucket.delete("k/3");
    await waitFor("the last marker to go", async () => (await left()) === 1);
  } finally {
    await connection.close();
  }
});

it("NatsKeyValueStore calls a NATS that is away an infrastructure fault", async () => {
  const connection = await connect({ servers: server.url });
  const bucket = await new NatsKeyValueStore(connection, "away").open("b");
  await connection.close();
  const value = new Uint8Array();
  for (const call of [
    () => bucket.get("k"),
    () => bucket.put("k", value),
    () => bucket.create("k", value),
    () => bucket.update("k", value, 1),
    () => bucket.delete("k"),
  ]) {
    await assert.rejects(call(), (error) => error instanceof BuildError && error.infrastructure);
  }
});
