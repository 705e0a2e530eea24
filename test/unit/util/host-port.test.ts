import assert from "node:assert/strict";
import { hostname } from "node:os";
import { it } from "node:test";
import { dialAddress, splitHostPort } from "../../../src/util/host-port.ts";

it("splitHostPort() reads names, addresses and bracketed IPv6 addresses", () => {
  assert.deepEqual(splitHostPort("head:4222"), { host: "head", port: 4222 });
  assert.deepEqual(splitHostPort("[::1]:0"), { host: "::1", port: 0 });
});

it("dialAddress() names this machine for a listener on all addresses", () => {
  assert.equal(dialAddress("10.0.0.7", 9720), "10.0.0.7:9720");
  assert.equal(dialAddress("::1", 9720), "[::1]:9720");
  assert.equal(dialAddress("0.0.0.0", 9720), `${hostname()}:9720`);
  assert.equal(dialAddress("::", 9720), `${hostname()}:9720`);
});
