import assert from "node:assert/strict";
import { test } from "node:test";
import { overlay, parseFlags } from "../../../src/cli/buildkitd/parse-flags.ts";

const none = {};

test("parseFlags() puts flags under the keys of buildkitd.toml", () => {
  const { overrides, configFile, warnings } = parseFlags(
    [
      "--oci-worker=true",
      "--containerd-worker=false",
      "--oci-worker-gc=false",
      "--oci-worker-labels=org.example.sandbox=true",
      "--oci-worker-snapshotter=native",
      "--config=/etc/b.toml",
      "--root",
      "/var/lib/b",
      "--addr",
      "unix:///run/b.sock",
      "-addr=tcp://127.0.0.1:1234",
      "--debug",
      "--allow-insecure-entitlement",
      "network.host",
    ],
    none,
  );
  assert.equal(configFile, "/etc/b.toml");
  assert.deepEqual(warnings, []);
  assert.deepEqual(overrides, {
    worker: { oci: { gc: false, labels: { "org.example.sandbox": "true" }, snapshotter: "native" } },
    root: "/var/lib/b",
    grpc: { address: ["unix:///run/b.sock", "tcp://127.0.0.1:1234"] },
    debug: true,
    "insecure-entitlements": ["network.host"],
  });
});

test("parseFlags() takes the value of a switch only after an equals sign", () => {
  assert.throws(() => parseFlags(["--debug", "false"], none), /unexpected argument "false"/);
  assert.deepEqual(parseFlags(["--debug=0"], none).overrides, { debug: false });
  assert.throws(() => parseFlags(["--debug=maybe"], none), /invalid value "maybe" for flag -debug/);
});

test("parseFlags() refuses what is unknown or not offered, and warns of what has no effect", () => {
  assert.throws(() => parseFlags(["--no-such-flag"], none), /flag provided but not defined: -no-such-flag/);
  assert.throws(() => parseFlags(["--containerd-worker=true"], none), /--containerd-worker=true is not supported/);
  assert.throws(() => parseFlags(["--root"], none), /flag needs an argument: -root/);
  assert.throws(() => parseFlags(["--oci-worker-labels=x"], none), /expected key=value/);
  assert.match(parseFlags(["--oci-cni-pool-size=3"], none).warnings[0] ?? "", /^--oci-cni-pool-size has no effect/);
});

test("parseFlags() reads variables for flags that are absent", () => {
  const env = { BUILDKITD_LOG_LEVEL: "warn" };
  assert.deepEqual(parseFlags([], env).overrides, { log: { level: "warn" } });
  assert.deepEqual(parseFlags(["--log-level=error"], env).overrides, { log: { level: "error" } });
});

test("overlay() joins tables and replaces lists", () => {
  assert.deepEqual(overlay({ a: { x: 1, y: [1, 2] }, b: 1 }, { a: { y: [3] }, c: 2 }), {
    a: { x: 1, y: [3] },
    b: 1,
    c: 2,
  });
});
