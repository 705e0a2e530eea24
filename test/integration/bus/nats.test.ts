import { after, before } from "node:test";
import { connect } from "@nats-io/transport-node";
import { NatsKeyValueStore, NatsMessageBus } from "../../../src/bus/index.ts";
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
