import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { networkErrorText } from "../../../src/util/network-error.ts";

async function connectError(options: { host: string; port: number }): Promise<unknown> {
  return new Promise((resolve) => connect(options).once("error", resolve));
}

test("networkErrorText() says what Go says of a closed port", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  const error = await connectError({ host: "127.0.0.1", port });
  assert.equal(networkErrorText(error), `dial tcp 127.0.0.1:${port}: connect: connection refused`);
  const both = new AggregateError([error, new Error("other")]);
  assert.equal(networkErrorText(both), `dial tcp 127.0.0.1:${port}: connect: connection refused`);
});

test("networkErrorText() names hosts that cannot be found", () => {
  const error = Object.assign(new Error("getaddrinfo ENOTFOUND h"), { code: "ENOTFOUND", hostname: "h" });
  assert.equal(networkErrorText(error), "dial tcp: lookup h: no such host");
});

test("networkErrorText() leaves everything else as it is", () => {
  assert.equal(networkErrorText(new Error("socket hang up")), "socket hang up");
  assert.equal(networkErrorText(Object.assign(new Error(""), { code: "ECONNRESET" })), "ECONNRESET");
  assert.equal(networkErrorText("text"), "text");
});
