import assert from "node:assert/strict";
import { test } from "node:test";
import { generateResolvConf, usesResolvedStub } from "../../../src/executor/network/resolv-conf.ts";

const host = `# made by hand
nameserver 127.0.0.1
nameserver 10.0.0.2
nameserver not-an-address
nameserver fd00::1
search old.example
search a.example b.example
options ndots:2
options timeout:1
sortlist 10.0.0.0
`;

test("nameservers on loopback are dropped, the rest is kept in order", () => {
  assert.equal(
    generateResolvConf(host, { hostNetwork: false }),
    "nameserver 10.0.0.2\nnameserver fd00::1\nsearch a.example b.example\noptions ndots:2 timeout:1\nsortlist 10.0.0.0\n",
  );
});

test("host network can reach the machine's own nameserver", () => {
  assert.match(generateResolvConf(host, { hostNetwork: true }), /^nameserver 127\.0\.0\.1\nnameserver 10\.0\.0\.2\n/);
});

test("public nameservers stand in where none is left", () => {
  const expected =
    "nameserver 8.8.8.8\nnameserver 8.8.4.4\nnameserver 2001:4860:4860::8888\nnameserver 2001:4860:4860::8844\n";
  assert.equal(generateResolvConf("nameserver 127.0.0.53\nnameserver ::1\n", { hostNetwork: false }), expected);
  assert.equal(generateResolvConf("", { hostNetwork: true }), expected);
});

test("configuration overrides each part, and is taken as it is", () => {
  const dns = { nameservers: ["127.0.0.1"], searchDomains: [".", "x"], options: ["rotate"] };
  assert.equal(
    generateResolvConf(host, { hostNetwork: false, dns }),
    "nameserver 127.0.0.1\nsearch x\noptions rotate\nsortlist 10.0.0.0\n",
  );
  const none = { nameservers: [], searchDomains: [], options: [] };
  assert.equal(
    generateResolvConf(host, { hostNetwork: false, dns: none }),
    generateResolvConf(host, { hostNetwork: false }),
  );
});

test("usesResolvedStub() is true for systemd-resolved alone", () => {
  assert.equal(usesResolvedStub("nameserver 127.0.0.53\noptions edns0\n"), true);
  assert.equal(usesResolvedStub("nameserver 127.0.0.53\nnameserver 10.0.0.2\n"), false);
  assert.equal(usesResolvedStub(""), false);
});
