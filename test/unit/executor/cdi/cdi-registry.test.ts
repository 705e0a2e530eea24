import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import { CdiRegistry } from "../../../../src/executor/index.ts";

describe("CdiRegistry", () => {
  let root: string;
  let low: string;
  let high: string;
  let warnings: string[];
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "cdi-"));
    [low, high] = [join(root, "low"), join(root, "high")];
    for (const directory of [low, high]) mkdirSync(directory);
    warnings = [];
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const open = async (autoAllowed: readonly string[] = []) => {
    const warn = (message: string, fields: object = {}) => {
      warnings.push([message, ...Object.values(fields)].join(" "));
    };
    const logger = { ...silentLogger, warn };
    const registry = new CdiRegistry({ directories: [low, join(root, "missing"), high], autoAllowed, logger });
    await registry.refresh();
    return registry;
  };
  const spec = (kind: string, devices: readonly object[], more: object = {}) =>
    JSON.stringify({ cdiVersion: "0.6.0", kind, devices, ...more });
  const device = (name: string, env: string) => ({ name, containerEdits: { env: [env] } });

  it("reads YAML and JSON, with annotations of spec and device", async () => {
    writeFileSync(
      join(low, "a.yaml"),
      `---
cdiVersion: "0.6.0"
kind: vendor.com/gpu
annotations:
  org.mobyproject.buildkit.device.autoallow: true
  owner: spec
devices:
- name: "1"
  annotations: {owner: device}
  containerEdits:
    env: [ONE=1]
- name: "0"
  containerEdits:
    env:
    - ZERO=0
containerEdits:
  env: [ANY=1]
`,
    );
    writeFileSync(join(high, "b.json"), spec("vendor.com/net", [device("x", "NET=x")]));
    writeFileSync(join(low, "c.yml"), "not read");
    const registry = await open(["vendor.com/net"]);
    const autoallow = { "org.mobyproject.buildkit.device.autoallow": "true" };
    assert.deepEqual(registry.devices, [
      { name: "vendor.com/gpu=0", autoAllow: true, annotations: { ...autoallow, owner: "spec" } },
      { name: "vendor.com/gpu=1", autoAllow: true, annotations: { ...autoallow, owner: "device" } },
      { name: "vendor.com/net=x", autoAllow: true, annotations: {} },
    ]);
    const { env } = await registry.edits(["vendor.com/gpu=1", "vendor.com/net=x", "vendor.com/gpu=0"]);
    assert.deepEqual(env, ["ANY=1", "ONE=1", "NET=x", "ZERO=0"]);
    assert.deepEqual(warnings, []);
  });

  it("prefers later directories and uses neither of two that are equal", async () => {
    writeFileSync(join(low, "a.json"), spec("v.com/d", [device("x", "X=low"), device("y", "Y=low")]));
    writeFileSync(join(high, "a.json"), spec("v.com/d", [device("x", "X=high")]));
    writeFileSync(join(low, "b.json"), spec("v.com/d", [device("y", "Y=again")]));
    const registry = await open();
    assert.deepEqual(
      registry.devices.map(({ name, autoAllow }) => [name, autoAllow]),
      [["v.com/d=x", false]],
    );
    assert.deepEqual((await registry.edits(["v.com/d=x"])).env, ["X=high"]);
    assert.match(warnings.join(), /Several CDI specs have the same device.*v\.com\/d=y/);
  });

  it("notices files that come and go", async () => {
    const registry = await open();
    assert.equal(await registry.refresh(), false);
    writeFileSync(join(low, "a.json"), spec("v.com/d", [device("x", "X=1")]));
    assert.equal(await registry.refresh(), true);
    assert.equal(registry.devices.length, 1);
    rmSync(join(low, "a.json"));
    await assert.rejects(
      registry.edits(["v.com/d=x"]),
      /CDI device injection failed: unresolvable CDI devices v\.com\/d=x/,
    );
  });

  const bad: readonly (readonly [RegExp, string])[] = [
    [
      /invalid version "9.9.9"/,
      JSON.stringify({ cdiVersion: "9.9.9", kind: "v.com/d", devices: [device("x", "A=1")] }),
    ],
    [/invalid kind "device"/, spec("device", [device("x", "A=1")])],
    [/no devices/, spec("v.com/d", [])],
    [/invalid device name "-x"/, spec("v.com/d", [device("-x", "A=1")])],
    [/multiple device "x"/, spec("v.com/d", [device("x", "A=1"), device("x", "A=2")])],
    [/empty device edits/, spec("v.com/d", [{ name: "x", containerEdits: {} }])],
    [/invalid environment variable "=1"/, spec("v.com/d", [device("x", "=1")])],
    [/unknown field "env"/, spec("v.com/d", [{ ...device("x", "A=1"), env: [] }])],
    [/deviceNodes must be a list/, spec("v.com/d", [{ name: "x", containerEdits: { deviceNodes: {} } }])],
    [
      /invalid type "z"/,
      spec("v.com/d", [{ name: "x", containerEdits: { deviceNodes: [{ path: "/d", type: "z" }] } }]),
    ],
    [
      /invalid hook name "now"/,
      spec("v.com/d", [{ name: "x", containerEdits: { hooks: [{ hookName: "now", path: "/h" }] } }]),
    ],
    [/must be an object/, "[]"],
    [/Cannot use CDI spec/, "{"],
  ];
  for (const [why, text] of bad) {
    it(`leaves out a spec with ${String(why).slice(1, -1)}`, async () => {
      writeFileSync(join(low, "a.json"), text);
      writeFileSync(join(low, "b.json"), spec("v.com/good", [device("x", "A=1")]));
      const registry = await open();
      assert.deepEqual(
        registry.devices.map(({ name }) => name),
        ["v.com/good=x"],
      );
      assert.match(warnings.join(), why);
    });
  }

  it("takes what device nodes leave open from the machine", async () => {
    const nodes = [
      { path: "/dev/mine", hostPath: "/dev/null" },
      { path: "/dev/full-spec", type: "c", major: 5, minor: 6, fileMode: 384 },
    ];
    writeFileSync(join(low, "a.json"), spec("v.com/d", [{ name: "x", containerEdits: { deviceNodes: nodes } }]));
    const gone = { deviceNodes: [{ path: "/dev/not-there" }] };
    const file = { deviceNodes: [{ path: "/dev/x", hostPath: join(low, "a.json") }] };
    const block = { deviceNodes: [{ path: "/dev/null", type: "b" }] };
    writeFileSync(
      join(low, "b.json"),
      spec("v.com/bad", [
        { name: "gone", containerEdits: gone },
        { name: "file", containerEdits: file },
        { name: "block", containerEdits: block },
      ]),
    );
    const registry = await open();
    assert.deepEqual((await registry.edits(["v.com/d=x"])).deviceNodes, [
      { path: "/dev/mine", hostPath: "/dev/null", type: "c", major: 1, minor: 3, fileMode: 0o666 },
      { path: "/dev/full-spec", type: "c", major: 5, minor: 6, fileMode: 0o600 },
    ]);
    const failed = "CDI device injection failed: failed to inject devices:";
    await assert.rejects(registry.edits(["v.com/bad=gone"]), {
      message: `${failed} failed to stat CDI host device "/dev/not-there": no such file or directory`,
    });
    await assert.rejects(registry.edits(["v.com/bad=file"]), /not a device node/);
    await assert.rejects(registry.edits(["v.com/bad=block"]), {
      message: `${failed} CDI device ("/dev/null", "/dev/null"), host type mismatch (b, c)`,
    });
  });
});
