import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { PruneRequest } from "../../../src/api/gen/control.ts";
import { type BuildClient, directoryOutput, pushOutput, Sandbox } from "../../helpers/sandbox/index.ts";

const hasBuildctl = spawnSync("buildctl", ["--version"]).status === 0;

/** Steps whose results a second build must not make again. */
const steps = ["[one 2/4]", "[one 3/4]", "[one 4/4]", "[two 2/2]", "[stage-2 2/4]", "[stage-2 3/4]", "[stage-2 4/4]"];

describe("remote caches", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let count = 0;

  before(async () => {
    sandbox = await Sandbox.start({ standalone: true });
    client = await sandbox.connect();
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  const dockerfile = () => `
FROM ${sandbox.image()} AS one
WORKDIR /w
COPY a.txt .
RUN cat a.txt > b && cat /proc/sys/kernel/random/uuid > /stamp
FROM ${sandbox.image()} AS two
COPY --from=one /w/b /b
FROM ${sandbox.image()}
COPY --from=two /b /c
RUN --mount=from=one,src=/,target=/m cat /m/stamp > /d
COPY sub /sub
`;
  const context = { "a.txt": "a", "sub/x": "x" };
  async function prune(): Promise<void> {
    for await (const _ of client.control.prune(PruneRequest.fromPartial({ all: true }), AbortSignal.timeout(60_000)));
  }

  async function buildHere(more: Partial<Parameters<BuildClient["build"]>[0]>, stampOf = true) {
    const path = join(sandbox.root, `output-${count++}`);
    const outputs = more.outputs ?? [directoryOutput(path)];
    const done = await client.build({ dockerfile: dockerfile(), context, ...more, outputs });
    const stamp = stampOf && more.outputs === undefined ? await readFile(join(path, "d"), "utf8") : "";
    await rm(path, { recursive: true, force: true });
    return { ...done, stamp };
  }

  function assertCached(cached: readonly string[]): void {
    for (const step of steps)
      assert.ok(
        cached.some((name) => name.startsWith(step)),
        `${step} was run again`,
      );
  }

  for (const [form, attributes] of Object.entries({
    "mode max": { mode: "max" },
    "mode min": { mode: "min" },
    "an index": { mode: "max", "image-manifest": "false" },
    zstd: { mode: "max", compression: "zstd" },
  })) {
    it(`come back from a registry after a prune: ${form}`, async () => {
      const ref = sandbox.image(`cache:${count++}`);
      const first = await buildHere({ cacheExports: [{ type: "registry", attributes: { ref, ...attributes } }] });
      assert.match(first.response["cache.manifest"] ?? "", /"digest":"sha256:/);
      await prune();
      const second = await buildHere({ cacheImports: [{ type: "registry", attributes: { ref } }] });
      assertCached(second.cached);
      assert.equal(second.stamp, first.stamp);
    });
  }

  it("come back from inside an image", async () => {
    const ref = sandbox.image(`inline:${count++}`);
    await prune();
    await buildHere({ outputs: [pushOutput(ref)], cacheExports: [{ type: "inline", attributes: {} }] });
    await prune();
    const second = await buildHere({ cacheImports: [{ type: "registry", attributes: { ref } }] });
    assertCached(second.cached);
  });

  it("are looked at together, whatever their order", async () => {
    const ref = sandbox.image(`cache:${count++}`);
    await prune();
    await buildHere({ cacheExports: [{ type: "registry", attributes: { ref, mode: "max" } }] });
    await prune();
    const refs = [sandbox.image("cache:none"), ref, sandbox.image("cache:nothing")];
    const second = await buildHere({
      cacheImports: refs.map((one) => ({ type: "registry", attributes: { ref: one } })),
    });
    assertCached(second.cached);
  });

  it("are no matter of life and death", async () => {
    const missing = sandbox.image("cache:none");
    const done = await buildHere({ cacheImports: [{ type: "registry", attributes: { ref: missing } }] });
    const vertex = done.vertices.find(({ name }) => name === `importing cache manifest from ${missing}`);
    assert.match(vertex?.error ?? "", /not found/);
    const refused = { type: "registry", attributes: { ref: "127.0.0.1:1/none", "ignore-error": "true" } };
    await buildHere({ cacheExports: [refused] });
    await assert.rejects(
      buildHere({ cacheExports: [{ ...refused, attributes: { ref: "127.0.0.1:1/none" } }] }),
      /127\.0\.0\.1:1/,
    );
  });

  describe("with buildctl", { skip: !hasBuildctl && "buildctl is not on PATH" }, () => {
    const address = () => sandbox.heads[0]?.address ?? "";

    async function buildctl(...args: string[]) {
      const directory = join(sandbox.root, "context");
      await mkdir(join(directory, "sub"), { recursive: true });
      await Promise.all([
        ...Object.entries(context).map(([path, data]) => writeFile(join(directory, path), data)),
        writeFile(join(directory, "Dockerfile"), dockerfile()),
      ]);
      const build = ["--addr", address(), "build", "--progress", "plain", "--frontend", "dockerfile.v0"];
      const locals = ["--local", `context=${directory}`, "--local", `dockerfile=${directory}`];
      const { stderr } = await promisify(execFile)("buildctl", [...build, ...locals, ...args], { timeout: 120_000 });
      const names = new Map([...stderr.matchAll(/^#(\d+) (\[.*)$/gm)].map(([, id, name]) => [id, name ?? ""]));
      return [...stderr.matchAll(/^#(\d+) CACHED$/gm)].map(([, id]) => names.get(id) ?? "");
    }

    for (const mode of ["min", "max"]) {
      it(`come back from a directory of the client: mode ${mode}`, async () => {
        const dest = join(sandbox.root, `cache-${count++}`);
        await prune();
        await buildctl("--export-cache", `type=local,dest=${dest},mode=${mode}`);
        await prune();
        const output = `type=local,dest=${join(sandbox.root, `output-${count++}`)}`;
        assertCached(await buildctl("--import-cache", `type=local,src=${dest}`, "--output", output));
      });
    }
  });
});
