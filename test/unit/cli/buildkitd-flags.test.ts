import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { parseFlags } from "../../../src/cli/buildkitd/parse-flags.ts";
import { createProgram } from "../../../src/cli/program.ts";

test("parseFlags() reads buildkitd's flags as ours", () => {
  const { flags, warnings } = parseFlags([
    "--oci-worker=true",
    "--containerd-worker=false",
    "--oci-worker-gc=false",
    "--oci-worker-labels=org.example.sandbox=true",
    "--oci-worker-snapshotter=native",
    "--oci-worker-net=",
    "--config=/etc/b.toml",
    "--root",
    "/var/lib/b",
    "--addr",
    "unix:///run/b.sock",
    "-addr=tcp://127.0.0.1:1234",
    "--debug",
    "--oci-max-parallelism=3",
    "--allow-insecure-entitlement",
    "network.host",
    "--cdi-disabled",
    "--cdi-spec-dir=/etc/a",
    "--cdi-spec-dir=/etc/b",
  ]);
  assert.deepEqual(warnings, []);
  assert.deepEqual(flags, {
    gc: false,
    label: ["org.example.sandbox=true"],
    snapshotter: "native",
    config: "/etc/b.toml",
    root: "/var/lib/b",
    addr: ["unix:///run/b.sock", "tcp://127.0.0.1:1234"],
    debug: true,
    maxParallelism: 3,
    allowInsecureEntitlement: ["network.host"],
    cdiDisabled: true,
    cdiSpecDir: ["/etc/a", "/etc/b"],
  });
});

test("parseFlags() takes the value of a switch only after an equals sign", () => {
  assert.throws(() => parseFlags(["--debug", "false"]), /unexpected argument "false"/);
  assert.deepEqual(parseFlags(["--debug=0"]).flags, { debug: false });
  assert.throws(() => parseFlags(["--debug=maybe"]), /invalid value "maybe" for flag -debug/);
});

test("parseFlags() refuses what is unknown or not offered, and warns of what has no effect", () => {
  for (const name of ["no-such-flag", "toString"]) {
    assert.throws(() => parseFlags([`--${name}`]), { message: `flag provided but not defined: -${name}` });
  }
  assert.throws(() => parseFlags(["--containerd-worker=true"]), /--containerd-worker=true is not supported/);
  assert.throws(() => parseFlags(["--oci-worker-selinux"]), /--oci-worker-selinux=true is not supported/);
  assert.throws(() => parseFlags(["--root"]), /flag needs an argument: -root/);
  assert.equal(parseFlags(["--oci-max-parallelism=num-cpu"]).flags.maxParallelism, availableParallelism());
  assert.throws(() => parseFlags(["--oci-max-parallelism=x"]), /invalid value "x"/);
  assert.match(parseFlags(["--oci-cni-pool-size=3"]).warnings[0] ?? "", /^--oci-cni-pool-size has no effect/);
});

test("buildfleet buildkitd --version prints four words, the third a version", async () => {
  const written: string[] = [];
  const stdout = { write: (text: string) => written.push(text) };
  const { signal } = new AbortController();
  const program = createProgram({ signal, stdin: new PassThrough(), stdout, stderr: new PassThrough() });
  for (const flag of ["--version", "-v"]) {
    await program.parseAsync(["buildkitd", flag], { from: "user" });
    assert.match(written.pop() ?? "", /^buildkitd \S+ v\d+\.\d+\.\d+ \S+\n$/);
  }
});
