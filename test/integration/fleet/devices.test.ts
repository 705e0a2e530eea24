import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { image, type State } from "../../../src/llb/builder/index.ts";
import { type BuildClient, Sandbox, type SandboxAgent, waitFor } from "../../helpers/sandbox/index.ts";

describe("devices", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let agents: SandboxAgent[];
  const specs = (agent: number) => join(sandbox.root, `cdi-${agent}`);

  before(async () => {
    sandbox = await Sandbox.start({ agents: 0 });
    agents = [];
    for (const agent of [0, 1]) {
      await mkdir(specs(agent));
      agents.push(await sandbox.startAgent({ cdiSpecDirs: [specs(agent)] }));
    }
    client = await sandbox.connect();
    await writeFile(join(sandbox.root, "library"), "from the machine\n");
    // There when the agents run already: they notice.
    await writeFile(
      join(specs(1), "vendor.yaml"),
      `cdiVersion: 0.6.0
kind: vendor.com/device
containerEdits:
  env: [VENDOR=yes]
devices:
- name: "null"
  annotations:
    org.mobyproject.buildkit.device.autoallow: true
    org.mobyproject.buildkit.device.class: quiet
  containerEdits:
    env: [NAME=null]
    mounts:
    - {hostPath: ${join(sandbox.root, "library")}, containerPath: /usr/lib/vendor/library, options: [ro, bind]}
    deviceNodes:
    - {path: /dev/vendor0, hostPath: /dev/null}
- name: locked
  containerEdits:
    env: [NAME=locked]
- name: hooked
  containerEdits:
    hooks:
    - hookName: createRuntime
      path: /bin/sh
      args: [sh, -c, "echo ran > ${join(sandbox.root, "hooked")}"]
`,
    );
    await waitFor("the devices to be listed", async () => (await listed()).length === 3);
  });
  afterEach(() => sandbox?.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  const listed = async () => {
    const workers = await client.control.workers([], AbortSignal.timeout(10_000));
    return workers.flatMap(({ ID, CDIDevices }) => CDIDevices.map((device) => ({ agent: ID, ...device })));
  };
  const step = (script: string, name: string, optional = false): State =>
    image(sandbox.image()).run({
      args: ["/bin/sh", "-ec", `${script}; true ${name}`],
      cdiDevices: [{ name, optional }],
      customName: "step",
    });

  it("are listed with the agent that has them", async () => {
    const agent = agents[1]?.id;
    const [hooked, locked, own] = await listed();
    assert.deepEqual(
      [hooked, locked, own].map((device) => [device?.agent, device?.Name, device?.AutoAllow]),
      [
        [agent, "vendor.com/device=hooked", false],
        [agent, "vendor.com/device=locked", false],
        [agent, "vendor.com/device=null", true],
      ],
    );
    assert.equal(own?.Annotations["org.mobyproject.buildkit.device.class"], "quiet");
  });

  it("come to a step with their variables, files and nodes, where they are", async () => {
    const script = `echo "$VENDOR $NAME"; cat /usr/lib/vendor/library; echo gone > /dev/vendor0; stat -c "%A %t,%T" /dev/vendor0`;
    for (const request of ["vendor.com/device=null", "quiet"]) {
      const { log, places } = await client.build({ state: step(script, request) });
      assert.equal(log, "yes null\nfrom the machine\ncrw-rw-rw- 1,3\n");
      assert.deepEqual([...places.values()], [agents[1]?.id]);
    }
  });

  it("that are not for all need the entitlement", async () => {
    const build = { state: step("echo $NAME", "vendor.com/device=locked") };
    await assert.rejects(
      client.build(build),
      /failed to load LLB: device vendor.com\/device=locked is requested by the build but not allowed/,
    );
    const granted = await client.build({ ...build, entitlements: ["device=vendor.com/device=locked"] });
    assert.equal(granted.log, "locked\n");
    const aliased = { state: step("echo $NAME", "mine"), entitlements: ["device=vendor.com/device=locked,alias=mine"] };
    assert.equal((await client.build(aliased)).log, "locked\n");
  });

  it("may run programs of the machine before a step", async () => {
    await client.build({ state: step("true", "vendor.com/device=hooked"), entitlements: ["device"] });
    assert.equal(await readFile(join(sandbox.root, "hooked"), "utf8"), "ran\n");
  });

  it("that nobody has end the build, unless they are optional", async () => {
    const missing = /required device "vendor.com\/other" is not registered/;
    await assert.rejects(client.build({ state: step("true", "vendor.com/other") }), missing);
    await assert.rejects(
      client.build({ state: step("true", "vendor.com/other"), entitlements: ["device"] }),
      /process ".*" did not complete successfully: CDI device injection failed: required device "vendor.com\/other"/,
    );
    const { log } = await client.build({ state: step("echo without", "vendor.com/other", true) });
    assert.equal(log, "without\n");
  });
});
