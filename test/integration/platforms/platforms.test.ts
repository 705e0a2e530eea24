import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, symlink } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { formatPlatform, normalizePlatform } from "../../../src/core/values/platform.ts";
import { image } from "../../../src/llb/builder/index.ts";
import { makeBusyboxRootfs } from "../../helpers/busybox-rootfs.ts";
import { Buildx } from "../../helpers/sandbox/buildx.ts";
import {
  type BuildClient,
  directoryOutput,
  pushOutput,
  Sandbox,
  type SandboxAgent,
} from "../../helpers/sandbox/index.ts";
import { GatewayBuild } from "../gateway/gateway-build.ts";
import { emulationMissing, emulatorDirectory } from "./emulator-directory.ts";

const buildxMissing = await Buildx.missing();
const both = { platform: "linux/amd64,linux/arm64" };
/** Run by a process that the step's own process starts. */
const machine = "/bin/busybox uname -m";

describe("platforms", { skip: emulationMissing }, () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let plain: SandboxAgent;
  let emulating: SandboxAgent;
  let env: Readonly<Record<string, string>>;
  let base: string;
  let outputs = 0;
  const outputPath = () => join(sandbox.root, `output-${outputs++}`);

  before(async () => {
    sandbox = await Sandbox.start({ agents: 0, insecureEntitlements: ["security.insecure"] });
    env = { PATH: `${emulatorDirectory}${delimiter}${process.env["PATH"]}` };
    plain = await sandbox.startAgent();
    emulating = await sandbox.startAgent({ env });
    client = await sandbox.connect();
    const context = join(sandbox.root, "roots");
    for (const architecture of ["amd64", "arm64"]) {
      await mkdir(join(context, architecture), { recursive: true });
      makeBusyboxRootfs(join(context, architecture));
    }
    await copyFile(join(emulatorDirectory, "busybox-arm64"), join(context, "arm64/bin/busybox"));
    base = sandbox.image("both:latest");
    await client.build({
      dockerfile: "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /\nENV PATH=/bin\n",
      context,
      options: both,
      outputs: [pushOutput(base)],
    });
  });
  afterEach(() => sandbox?.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  const platformsOfWorkers = async () => {
    const workers = await client.control.workers([], AbortSignal.timeout(10_000));
    const named = workers.map(({ ID, platforms }): [string, string[]] => [
      ID,
      platforms.map(({ OS: os, Architecture: architecture, Variant: variant }) =>
        formatPlatform(normalizePlatform({ os, architecture, variant })),
      ),
    ]);
    return new Map(named);
  };

  it("are listed with those an agent emulates", async () => {
    const platforms = await platformsOfWorkers();
    assert.equal(platforms.get(plain.id)?.[0], "linux/amd64");
    assert.ok(!platforms.get(plain.id)?.includes("linux/arm64"));
    assert.equal(platforms.get(emulating.id)?.[0], "linux/amd64");
    assert.ok(platforms.get(emulating.id)?.includes("linux/arm64"));
  });

  it("are built into one image, each step run for its own", async () => {
    const [path, name] = [outputPath(), sandbox.image("built:1")];
    const done = await client.build({
      dockerfile: `FROM --platform=$BUILDPLATFORM ${base} AS compiler
ARG BUILDPLATFORM TARGETPLATFORM TARGETARCH
RUN echo "from $BUILDPLATFORM for $TARGETPLATFORM on $(${machine})" > /made-$TARGETARCH
FROM ${base}
ARG TARGETARCH
COPY --from=compiler /made-$TARGETARCH /made
RUN printf '#!/bin/sh\\n${machine}\\n' > /script && chmod 755 /script && /script > /machine
RUN ["/bin/busybox", "sh", "-c", "${machine} > /direct"]
RUN chown alice /home/alice
USER alice
RUN --mount=type=cache,target=/home/alice/cache,uid=1000 id -un > /home/alice/cache/name && cp /home/alice/cache/name /home/alice/
USER root
RUN chown bob:staff /direct && mkdir /left && touch /left/behind && rm -r /left
RUN --network=none ls /sys/class/net > /networks
`,
      options: both,
      outputs: [pushOutput(name), directoryOutput(path)],
    });
    const read = async (file: string) =>
      (await Promise.all(["amd64", "arm64"].map((arch) => readFile(join(path, `linux_${arch}`, file), "utf8")))).join(
        "",
      );
    assert.equal(await read("machine"), "x86_64\naarch64\n");
    assert.equal(await read("direct"), "x86_64\naarch64\n");
    assert.equal(await read("home/alice/name"), "alice\nalice\n");
    assert.equal(await read("networks"), "lo\nlo\n");
    assert.equal(
      await read("made"),
      "from linux/amd64 for linux/amd64 on x86_64\nfrom linux/amd64 for linux/arm64 on x86_64\n",
    );
    assert.deepEqual(
      new Set([...done.places].filter(([step]) => step.startsWith("[linux/arm64 ")).map(([, agent]) => agent)),
      new Set([emulating.id]),
    );
    const index = (await (
      await fetch(`http://${sandbox.registry}/v2/built/manifests/1`, {
        headers: { accept: "application/vnd.oci.image.index.v1+json" },
      })
    ).json()) as { manifests: { platform: { os: string; architecture: string } }[] };
    assert.deepEqual(
      index.manifests.map(({ platform }) => platform),
      [
        { architecture: "amd64", os: "linux" },
        { architecture: "arm64", os: "linux" },
      ],
    );
  });

  it("are those of all processes in a container of a frontend", async () => {
    await using build = new GatewayBuild(client.grpc);
    const arm = { OS: "linux", Architecture: "arm64" };
    const platform = normalizePlatform({ os: "linux", architecture: "arm64" });
    const container = await build.container(await build.ref(image(base, { platform })), { platform: arm });
    await using processes = build.processes();
    const init = processes.start(container, ["/bin/cat"], { fds: [0, 1, 2] });
    assert.equal(await processes.start(container, ["/bin/sh", "-c", machine]).text(), "aarch64\n");
    await init.end();
    assert.equal((await init.exit).Code, 0);
    await build.release(container);
    await build.finish();
  });

  it("are known to docker buildx and built by it", { skip: buildxMissing }, async () => {
    const buildx = await Buildx.open(join(sandbox.root, "buildx"), "unix:///none");
    await buildx.run("create", "--name", "fleet", "--driver", "remote", sandbox.heads[0]?.address ?? "");
    assert.match((await buildx.run("inspect", "fleet")).stdout, /Platforms: +linux\/amd64.*linux\/arm64/);
    const context = await client.writeContext({ Dockerfile: `FROM ${base}\nRUN ${machine} > /machine\n` });
    const output = outputPath();
    const platforms = ["--platform", "linux/amd64,linux/arm64"];
    await buildx.build("fleet", [...platforms, "--output", `type=local,dest=${output}`, context]);
    assert.equal(await readFile(join(output, "linux_arm64/machine"), "utf8"), "aarch64\n");
    assert.equal(await readFile(join(output, "linux_amd64/machine"), "utf8"), "x86_64\n");
  });

  it("that a base image lacks end the build", async () => {
    const building = client.build({ dockerfile: `FROM ${base}\nRUN true\n`, options: { platform: "linux/s390x" } });
    await assert.rejects(building, /no match for platform in manifest: not found/);
  });

  it("that no agent runs are named when a step fails for it", async () => {
    await emulating.process.stop();
    let log = "";
    const building = client.build({
      dockerfile: `FROM ${base}\nRUN ${machine}\n`,
      options: { platform: "linux/arm64", "no-cache": "" },
      onLog: (text) => {
        log = text;
      },
    });
    await assert.rejects(building, /process "\/bin\/sh -c \/bin\/busybox uname -m" did not complete successfully/);
    assert.match(log, /exec format error/);
    assert.match(
      log,
      /no agent runs programs for linux\/arm64, natively or emulated: the 1 in the fleet run linux\/amd64/,
    );
    await sandbox.restartAgent(emulating);
  });

  it("go to an agent that has them natively, as long as there is one", async () => {
    const build = {
      dockerfile: `FROM ${base}\nRUN ${machine} && echo "$(cat /proc/sys/kernel/random/uuid)" > /id\n`,
      options: { ...both, "no-cache": "" },
    };
    const ranArm = ({ places }: { places: ReadonlyMap<string, string> }) =>
      [...places].filter(([step]) => step.startsWith("[linux/arm64 ")).map(([, agent]) => agent);
    // A machine of that kind, as far as the fleet can tell.
    const bundled = join(sandbox.root, "bundled");
    await mkdir(bundled);
    await symlink(join(emulatorDirectory, "qemu-aarch64-static"), join(bundled, "buildkit-qemu-aarch64"));
    const native = await sandbox.startAgent({
      platforms: ["linux/arm64"],
      env: { PATH: `${bundled}${delimiter}${process.env["PATH"]}` },
    });
    const first = await client.build(build);
    assert.deepEqual(ranArm(first), [native.id]);
    for (const [step, agent] of first.places) if (step.startsWith("[linux/amd64 ")) assert.notEqual(agent, native.id);
    // It keeps its rights on the machine, so the emulator goes with it into the container.
    const insecure = await client.build({
      dockerfile: `FROM ${base}\nRUN --security=insecure ["/bin/busybox", "uname", "-m"]\n`,
      options: { platform: "linux/arm64" },
      entitlements: ["security.insecure"],
    });
    assert.equal(insecure.log, "aarch64\n");
    await native.process.stop();
    const second = await client.build(build);
    assert.deepEqual(ranArm(second), [emulating.id]);
    assert.match(second.log, /aarch64/);
  });
});
