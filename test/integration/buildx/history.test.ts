import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildClient, Buildx, Sandbox } from "../../helpers/sandbox/index.ts";

/** Old ones have no such command, and answer with the help of all. */
async function skip(): Promise<string | false> {
  const missing = await Buildx.missing();
  if (missing !== false) return missing;
  const buildx = await Buildx.open("/nonexistent", "unix:///nonexistent");
  const { stdout } = await buildx.run("history", "export", "--help").catch(() => ({ stdout: "" }));
  return stdout.includes("--output") ? false : "docker-buildx has no history export";
}

describe("docker buildx history on a fleet", { skip: await skip() }, () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let buildx: Buildx;
  before(async () => {
    sandbox = await Sandbox.start({ agents: 1, coordinators: 2 });
    client = await sandbox.connect();
    buildx = await Buildx.open(join(sandbox.root, "docker"), "unix:///nonexistent");
    for (const [index, { address }] of sandbox.heads.entries())
      await buildx.run("create", "--name", `head${index}`, "--driver", "remote", address);
    const context = await client.writeContext({
      Dockerfile: `FROM ${sandbox.image()}\nARG CODE=0\nLABEL some=label\nRUN echo "code $CODE"; exit $CODE\n`,
    });
    const build = (...args: readonly string[]) => buildx.run("build", "--builder", "head0", ...args, context);
    await assert.rejects(build("--build-arg", "CODE=3", "--label", "l=1"), /exit code: 3/);
    await build("--provenance", "mode=max", "--push", "--tag", sandbox.image("recorded:latest"));
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  /** At the coordinator that did not run the builds. */
  const history = async (...args: readonly string[]) =>
    (await buildx.run("history", ...args, "--builder", "head1")).stdout;
  const inspected = async (ref: string) => JSON.parse(await history("inspect", "--format", "json", ref));

  it("tells how builds went", async () => {
    const good = await inspected("^0");
    assert.equal(good.Status, "completed");
    assert.equal(good.NumCompletedSteps, good.NumTotalSteps);
    const bad = await inspected("^1");
    assert.equal(bad.Status, "failed");
    assert.equal(bad.NumCompletedSteps, bad.NumTotalSteps);
    assert.deepEqual(bad.BuildArgs, [{ Name: "CODE", Value: "3" }]);
    assert.deepEqual(bad.Labels, [{ Name: "l", Value: "1" }]);
    assert.match(bad.Error.Message, /did not complete successfully: exit code: 3/);
    assert.match(bad.Error.Name, /RUN echo "code 3"; exit 3/);
    assert.match(bad.Error.Logs.join("\n"), /code 3/);
    assert.match(Buffer.from(bad.Error.Sources, "base64").toString(), />>> +RUN echo "code \$CODE"; exit \$CODE/);
    assert.match((await buildx.run("history", "logs", "^1", "--builder", "head1")).stderr, /code 3/);
    const listed = await history("ls", "--filter", "status=error", "--format", "{{.Status}}");
    assert.equal(listed.trim(), "Error");
  });

  it("shows what was exported: index, manifest, provenance", async () => {
    const { Attachments: attachments } = await inspected("^0");
    const types = attachments.map(({ Type }: { Type: string }) => Type).sort();
    assert.deepEqual(types, [
      "application/vnd.oci.image.index.v1+json",
      "application/vnd.oci.image.manifest.v1+json",
      "https://slsa.dev/provenance/v1",
    ]);
    const attachment = async (type: string) => JSON.parse(await history("inspect", "attachment", "^0", "--type", type));
    const index = await attachment("application/vnd.oci.image.index.v1+json");
    const manifest = await attachment("application/vnd.oci.image.manifest.v1+json");
    assert.equal(index.manifests.length, 2);
    assert.equal(manifest.mediaType, "application/vnd.oci.image.manifest.v1+json");
    const provenance = await attachment("https://slsa.dev/provenance/v1");
    assert.equal(provenance.buildDefinition.externalParameters.request.frontend, "dockerfile.v0");
  });

  it("exports records with their traces, and removes them", async () => {
    const bundle = join(sandbox.root, "records.dockerbuild");
    await history("export", "--all", "--finalize", "--output", bundle);
    assert.ok((await stat(bundle)).size > 1000);
    await history("rm", "--all");
    assert.equal((await history("ls", "--format", "{{.Ref}}")).trim(), "");
    await assert.rejects(history("inspect", "^0"));
  });
});
