import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { connect } from "@nats-io/transport-node";
import { NatsKeyValueStore, NatsMessageBus } from "../../../src/bus/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { runKeyValueSuite } from "../../conformance/key-value-suite.ts";
import { runMessageBusSuite } from "../../conformance/message-bus-suite.ts";
import { NatsServer } from "../../helpers/nats-server.ts";

let server: NatsServer;
before(async () => {
  server = await NatsServer.start();
});
after(async () => {
  await server[Symbol.asyncDispose]();
});

runMessageBusSuite("nats", async () => new NatsMessageBus(await connect({ servers: server.url })));

let count = 0;
runKeyValueSuite("nats", async (use) => {
  const connection = await connect({ servers: server.url });
  try {
    await use(new NatsKeyValueStore(connection, `t${count++}`));
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
