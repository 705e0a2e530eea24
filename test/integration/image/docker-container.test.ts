import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { arch } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { findProgram } from "../../../deploy/demo/requirements.ts";
import { buildkitVersion } from "../../../src/version.ts";
import {
  Buildx,
  busyboxEntries,
  DockerEngine,
  makeLayer,
  programEntries,
  pushImage,
  Sandbox,
  waitFor,
} from "../../helpers/sandbox/index.ts";

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const runc = await findProgram("runc");
const skip = (await DockerEngine.missing()) || (await Buildx.missing()) || (runc === undefined && "needs runc");

describe("the image of Buildfleet in a Docker engine", { skip }, () => {
  /** Of the driver docker-container, in our image. */
  const builder = "inside";
  const container = `buildx_buildkit_${builder}0`;
  let sandbox: Sandbox;
  let docker: DockerEngine;
  let buildx: Buildx;
  let context: string;
  let count = 0;

  before(async () => {
    sandbox = await Sandbox.start({ standalone: true, namespaces: true });
    docker = await DockerEngine.start({
      host: await sandbox.addHost(),
      directory: join(sandbox.root, "engine"),
      insecureRegistries: [sandbox.registry],
    });
    sandbox.defer(() => docker[Symbol.asyncDispose]());
    buildx = await Buildx.open(join(sandbox.root, "docker"), docker.address);
    const image = sandbox.image("buildfleet:latest");
    await buildImage(image);
    await createBuilder(image);
    context = await (await sandbox.connect()).writeContext({
      Dockerfile: `
FROM ${sandbox.image()}
COPY in.txt /
RUN cat in.txt /proc/sys/kernel/random/uuid > /out.txt
`,
      "in.txt": "in\n",
    });
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  /** By a Buildfleet itself. Debian's packages come from this machine: there is no network. */
  async function buildImage(image: string): Promise<void> {
    await buildx.run("create", "--name", "fleet", "--driver", "remote", sandbox.heads[0]?.address ?? "");
    const base = sandbox.image("base:latest");
    const directory = join(sandbox.root, "checkout");
    const koffi = join("node_modules", "@koromix", `koffi-linux-${arch()}`);
    const node = join(directory, "node_modules", `node-linux-${arch()}`, "bin");
    await mkdir(node, { recursive: true });
    for (const path of ["bin", "package.json", "deploy/image", "node_modules/koffi", koffi]) {
      await cp(join(repository, path), join(directory, path), { recursive: true, dereference: true });
    }
    await copyFile(process.execPath, join(node, "node"));
    await promisify(execFile)(process.execPath, [join(repository, "scripts/bundle.ts"), join(directory, "dist")]);
    const env = { path: "usr/bin/env", symlink: "/bin/busybox" };
    const programs = programEntries([runc ?? ""], [process.execPath]);
    await pushImage(base, [makeLayer([...busyboxEntries(), env]), makeLayer(programs)], {
      Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    });
    await buildx.build("fleet", [
      ...["--file", join(directory, "deploy/image/Dockerfile"), "--build-context", `base=docker-image://${base}`],
      ...["--output", `type=image,name=${image},push=true`, directory],
    ]);
  }

  async function createBuilder(image: string): Promise<void> {
    const config = join(sandbox.root, "inside.toml");
    await writeFile(config, `[registry."${sandbox.registry}"]\nhttp = true\n`);
    await buildx.run(
      ...["create", "--name", builder, "--driver", "docker-container", "--buildkitd-config", config],
      ...["--driver-opt", `image=${image}`, "--driver-opt", `cgroup-parent=${docker.cgroup}`, "--bootstrap"],
    );
  }

  async function build(): Promise<{ readonly text: string; readonly cached: boolean | undefined }> {
    const output = join(sandbox.root, `output-${count++}`);
    const steps = await buildx.build(builder, ["--output", `type=local,dest=${output}`, context]);
    const cached = [...steps].find(([name]) => name.startsWith("[3/3]"))?.[1];
    return { text: await readFile(join(output, "out.txt"), "utf8"), cached };
  }

  it("is booted by buildx", async () => {
    const { stdout } = await buildx.run("inspect", builder);
    assert.match(stdout, /Driver: +docker-container/);
    assert.match(stdout, /Status: +running/);
    assert.match(stdout, new RegExp(`BuildKit(?: version)?: +${buildkitVersion.replaceAll(".", "\\.")}\n`));
  });

  it("builds, and keeps its state when it is stopped", async () => {
    const first = await build();
    assert.match(first.text, /^in\n[0-9a-f-]{36}\n$/);
    assert.equal(first.cached, false);
    await buildx.run("stop", builder);
    assert.deepEqual(await build(), { ...first, cached: true });
  });

  it("builds again after it was killed in a step", async () => {
    const before = await build();
    const waits = await (await sandbox.connect()).writeContext({
      Dockerfile: `FROM ${sandbox.image()}\nRUN sleep 6543\n`,
    });
    const killed = buildx.build(builder, [waits]);
    await Promise.race([
      killed.then(() => assert.fail("the step ended")),
      waitFor("the step", async () => (await docker.processes(container)).some((line) => line === "sleep 6543")),
    ]);
    await docker.kill(container);
    await assert.rejects(killed);
    assert.deepEqual(await build(), { ...before, cached: true });
  });

  it("loads images into the engine", async () => {
    await buildx.build(builder, ["--load", "--tag", "loaded:latest", context]);
    assert.equal(await docker.hasImage("loaded:latest"), true);
  });

  it("shows and prunes its cache", async () => {
    await build();
    const used = async () => (await buildx.run("du", "--builder", builder)).stdout;
    assert.match(await used(), /Total:\s+[1-9]/);
    await buildx.run("prune", "--builder", builder, "--all", "--force");
    assert.match(await used(), /Total:\s+0B/);
  });

  it("goes with its volume", async () => {
    await buildx.run("rm", builder);
    assert.deepEqual(await docker.volumes(), []);
  });
});
