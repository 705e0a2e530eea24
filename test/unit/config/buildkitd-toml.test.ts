import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseBuildkitdToml } from "../../../src/config/buildkitd-toml.ts";
import { resolveGcRules } from "../../../src/config/gc-rules.ts";

describe("parseBuildkitdToml()", () => {
  it("reads which frontends are offered", () => {
    const { settings, warnings } = parseBuildkitdToml(`
      [frontend."dockerfile.v0"]
      enabled = false
      [frontend."gateway.v0"]
      enabled = true
      allowedRepositories = ["docker/dockerfile"]
    `);
    assert.deepEqual(warnings, []);
    assert.deepEqual(settings.disabledFrontends, ["dockerfile.v0"]);
    assert.deepEqual(settings.frontendRepositories, ["docker/dockerfile"]);
  });

  it("reads what a buildkitd is usually given", () => {
    const { settings, warnings } = parseBuildkitdToml(`
      debug = true
      root = "/data/buildkit"
      insecure-entitlements = ["network.host", "security.insecure"]
      [log]
      format = "json"
      level = "trace"
      [grpc]
      address = ["tcp://0.0.0.0:1234", "unix:///run/x.sock"]
      gid = 0
      [grpc.tls]
      cert = "/c.pem"
      key = "/k.pem"
      ca = "/ca.pem"
      [dns]
      nameservers = ["1.1.1.1"]
      searchDomains = ["example.com"]
      [cdi]
      specDirs = ["/etc/cdi"]
      autoAllowed = ["vendor.com/gpu"]
      [worker.oci]
      snapshotter = "native"
      max-parallelism = 4
      gc = true
      reservedSpace = "10%"
      labels = { "zone" = "a" }
      platforms = ["linux/amd64", "linux/arm64"]
      [[worker.oci.gcpolicy]]
      all = true
      filters = ["type==source.local"]
      keepDuration = "48h"
      maxUsedSpace = 1000
      [registry."docker.io"]
      mirrors = ["mirror.example.com", "other.example.com/prefix"]
      [registry."mirror.example.com"]
      http = true
      ca = ["/m.pem"]
      [[registry."mirror.example.com".keypair]]
      key = "/m.key"
      cert = "/m.crt"
    `);
    assert.deepEqual(warnings, []);
    assert.equal(settings.root, "/data/buildkit");
    assert.equal(settings.debug, true);
    assert.equal(settings.logLevel, "debug");
    assert.deepEqual(settings.addresses, ["tcp://0.0.0.0:1234", "unix:///run/x.sock"]);
    assert.equal(settings.gid, 0);
    assert.deepEqual(settings.tls, { cert: "/c.pem", key: "/k.pem", ca: "/ca.pem" });
    assert.deepEqual(settings.dns, { nameservers: ["1.1.1.1"], options: [], searchDomains: ["example.com"] });
    assert.deepEqual(settings.cdi, { specDirs: ["/etc/cdi"], autoAllowed: ["vendor.com/gpu"] });
    assert.deepEqual(settings.labels, { zone: "a" });
    assert.equal(settings.maxParallelism, 4);
    assert.deepEqual(settings.gcRules, [
      {
        all: true,
        filters: ["type==source.local"],
        keepDurationMs: 172_800_000,
        reservedSpace: { bytes: 0 },
        maxUsedSpace: { bytes: 1000 },
        minFreeSpace: { bytes: 0 },
      },
    ]);
    assert.deepEqual(settings.registries, {
      "docker.io": { mirrors: ["mirror.example.com", "other.example.com/prefix"] },
      "mirror.example.com": { http: true, ca: ["/m.pem"], keypair: [{ key: "/m.key", cert: "/m.crt" }] },
    });
  });

  it("takes a table about the history as a whole: what it leaves out is nothing", () => {
    const history = (text: string) => parseBuildkitdToml(text).settings.history;
    assert.deepEqual(history('[history]\nmaxAge = "2h"\nmaxEntries = 7'), { maxAgeMs: 7200_000, maxEntries: 7 });
    assert.deepEqual(history("[history]\nmaxAge = 60"), { maxAgeMs: 60_000, maxEntries: 0 });
    assert.equal(history(""), undefined);
  });

  it("names keys that have no effect, and keys it does not know", () => {
    const { warnings } = parseBuildkitdToml(`
      proxyNetwork = "sandbox"
      colour = "red"
      [worker.oci]
      rootless = true
      snapshoter = "native"
      [registry."a.example:5000"]
      htpp = true
    `);
    assert.deepEqual(warnings.toSorted(), [
      "proxyNetwork is not supported and has no effect",
      "unknown key colour",
      'unknown key registry."a.example:5000".htpp',
      "unknown key worker.oci.snapshoter",
      "worker.oci.rootless is not supported and has no effect",
    ]);
  });

  for (const [text, message] of [
    ["debug = 1", "debug must be true or false, not 1"],
    ['[grpc]\naddress = "tcp://x:1"', 'grpc.address must be a list of strings, not "tcp://x:1"'],
    [
      '[worker.oci]\nreservedSpace = "much"',
      'worker.oci.reservedSpace must be a size such as 1000000, "10GB" or "20%", not "much"',
    ],
    [
      "[[worker.oci.gcpolicy]]\nkeepDuration = true",
      'worker.oci.gcpolicy[0].keepDuration must be a time such as "48h" or a number of seconds, not true',
    ],
    ["worker = 3", "worker must be a table, not 3"],
    ['[registry."a"]\nmirrors = [1]', "registry.a.mirrors must be a list of strings, not [1]"],
    [
      '[log]\nlevel = "loud"',
      'log.level must be one of trace, debug, info, warning, warn, error, fatal, panic, not "loud"',
    ],
  ] as const) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseBuildkitdToml(text), { name: "ConfigError", message });
    });
  }

  it("names the line of text that is no TOML", () => {
    assert.throws(() => parseBuildkitdToml('root = "/x"\n[grpc\n'), { name: "ConfigError", message: /^line 2: / });
  });
});

describe("resolveGcRules()", () => {
  const disk = 1000 * 2 ** 30;

  it("refuses a filter that cannot be read", () => {
    const { settings } = parseBuildkitdToml('[[worker.oci.gcpolicy]]\nfilters = ["type=x"]\n');
    assert.throws(() => resolveGcRules(settings, disk), {
      name: "ConfigError",
      message: /^worker\.oci\.gcpolicy\[0\]\.filters: filters: parse error: .*unsupported operator/,
    });
  });

  it("has BuildKit's rules by default, bounded by the size of the disk", () => {
    const rules = resolveGcRules({}, disk);
    assert.equal(rules.length, 4);
    assert.deepEqual(rules[0]?.filters, ["type==source.local", "type==exec.cachemount", "type==source.git.checkout"]);
    assert.deepEqual(rules[3], {
      filters: [],
      all: true,
      keepDurationMs: 0,
      reservedSpaceBytes: 10e9,
      maxUsedSpaceBytes: 100e9,
      minFreeSpaceBytes: 201e9,
    });
  });

  it("keeps to configured bounds and to none besides", () => {
    const rules = resolveGcRules({ maxUsedSpace: { bytes: 7 } }, disk);
    assert.deepEqual(
      [rules[2]?.maxUsedSpaceBytes, rules[2]?.reservedSpaceBytes, rules[2]?.minFreeSpaceBytes],
      [7, 0, 0],
    );
  });
});
