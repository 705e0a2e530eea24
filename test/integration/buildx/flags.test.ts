import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type BuildClient, Buildx, Sandbox } from "../../helpers/sandbox/index.ts";

const indexType = "application/vnd.oci.image.index.v1+json";

describe("docker buildx build on a fleet", { skip: await Buildx.missing() }, () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let buildx: Buildx;
  let out: string;
  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, insecureEntitlements: ["network.host"] });
    client = await sandbox.connect();
    buildx = await Buildx.open(join(sandbox.root, "docker"), "unix:///nonexistent");
    await buildx.run("create", "--name", "fleet", "--driver", "remote", sandbox.heads[0]?.address ?? "");
    out = join(sandbox.root, "out");
    await mkdir(out);
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  const build = (...args: readonly string[]) =>
    buildx.run("build", "--builder", "fleet", "--progress", "plain", ...args);
  const context = (dockerfile: string, files: Readonly<Record<string, string>> = {}) =>
    client.writeContext({ Dockerfile: dockerfile, ...files });
  const json = async (path: string) => JSON.parse(await readFile(path, "utf8"));

  it("gives steps hosts, arguments, secrets, limits and memory", async () => {
    const secret = join(sandbox.root, "secret");
    await writeFile(secret, "from a file");
    const directory = await context(
      `FROM ${sandbox.image()} AS made\nARG WHO\nRUN --mount=type=secret,id=file --mount=type=secret,id=variable,env=V ` +
        'echo "$WHO $(cat /run/secrets/file) $V $(grep extra /etc/hosts | cut -f1) $(ulimit -n) $(df -k /dev/shm | tail -1 | tr -s " " | cut -d" " -f2)" > /seen\n' +
        "FROM scratch\nCOPY --from=made /seen /\n",
    );
    const asked = [
      "--add-host",
      "extra:10.9.8.7",
      "--build-arg",
      "WHO=me",
      "--ulimit",
      "nofile=77:77",
      "--shm-size",
      "32m",
    ];
    const given = ["--secret", `id=file,src=${secret}`, "--secret", `id=variable,src=${secret}`];
    await build(...asked, ...given, "--output", join(out, "seen"), directory);
    assert.equal(await readFile(join(out, "seen", "seen"), "utf8"), "me from a file from a file 10.9.8.7 77 32768\n");
  });

  it("reads named contexts: directory, image, another one's stage by name, and a Dockerfile from stdin", async () => {
    const other = await client.writeContext({ f: "of another directory\n" });
    const directory = await context("", { own: "own\n" });
    const dockerfile = `FROM base AS made\nCOPY --from=other /f /f\nCOPY own /own\nRUN cat /f /own > /both\nFROM scratch\nCOPY --from=made /both /\n`;
    const contexts = [`other=${other}`, `base=docker-image://${sandbox.image()}`].flatMap((named) => [
      "--build-context",
      named,
    ]);
    const args = ["build", "--builder", "fleet", ...contexts, "--file", "-", "--output", join(out, "named"), directory];
    await buildx.runWith(dockerfile, ...args);
    assert.equal(await readFile(join(out, "named", "both"), "utf8"), "of another directory\nown\n");
  });

  it("writes several outputs at once, and tells of them in files", async () => {
    const directory = await context("FROM scratch\nCOPY f /f\nLABEL in=dockerfile\n", { f: "f" });
    const name = sandbox.image("several:latest");
    const metadata = join(out, "metadata.json");
    const iid = join(out, "iid");
    await build(
      ...["--output", `type=local,dest=${join(out, "several")}`],
      ...["--output", `type=oci,dest=${join(out, "several.tar")}`],
      ...["--output", `type=image,name=${name},push=true`],
      ...[
        "--label",
        "of=client",
        "--annotation",
        "index:told=yes",
        "--annotation",
        "manifest:also=yes",
        "--provenance",
        "mode=max",
      ],
      ...["--metadata-file", metadata, directory],
    );
    await build("--iidfile", iid, "--output", `type=oci,dest=${join(out, "one.tar")}`, "--provenance=false", directory);
    assert.equal(await readFile(join(out, "several", "f"), "utf8"), "f");
    assert.ok((await readFile(join(out, "several.tar"))).length > 1000);
    const told = await json(metadata);
    assert.equal(told["image.name"], name);
    assert.equal(told["containerimage.descriptor"].mediaType, indexType);
    assert.equal(told["containerimage.descriptor"].digest, told["containerimage.digest"]);
    assert.match(await readFile(iid, "utf8"), /^sha256:[0-9a-f]{64}/);
    const { stdout } = await buildx.run("imagetools", "inspect", "--raw", name);
    const index = JSON.parse(stdout);
    assert.equal(index.annotations.told, "yes");
    assert.equal(index.manifests.length, 2);
    const config = await buildx.run("imagetools", "inspect", name, "--format", "{{json .Image.Config.Labels}}");
    assert.deepEqual(JSON.parse(config.stdout), { in: "dockerfile", of: "client" });
  });

  it("asks before a step has more than others, and refuses what nobody granted", async () => {
    const directory = await context(`FROM ${sandbox.image()}\nRUN --network=host true\n`);
    await assert.rejects(build(directory), /network\.host is not allowed/);
    await build("--allow", "network.host", directory);
    await assert.rejects(
      build("--allow", "security.insecure", directory),
      /granting entitlement security\.insecure is not allowed/,
    );
  });

  it("runs again what it is told to", async () => {
    const directory = await context(
      `FROM ${sandbox.image()} AS one\nRUN echo one > /one\nFROM ${sandbox.image()} AS two\nRUN echo two > /two\nFROM one\nCOPY --from=two /two /two\n`,
    );
    const cached = async (...args: readonly string[]) => {
      const steps = await buildx.build("fleet", [...args, directory]);
      return ["one", "two"].map((stage) => [...steps].find(([name]) => name.includes(`RUN echo ${stage}`))?.[1]);
    };
    await cached();
    assert.deepEqual(await cached(), [true, true]);
    assert.deepEqual(await cached("--no-cache-filter", "two"), [true, false]);
    assert.deepEqual(await cached("--no-cache"), [false, false]);
  });

  it("checks and outlines without building", async (t) => {
    if (!(await buildx.run("build", "--help")).stdout.includes("--check")) return t.skip("docker-buildx has no --call");
    const directory = await context(`FROM ${sandbox.image()} as lower\nARG WHO=me\nENV a b\n`);
    const checked = await build("--check", directory).catch((error: { stdout: string }) => error);
    assert.match(checked.stdout, /FromAsCasing/);
    assert.match(checked.stdout, /LegacyKeyValueFormat/);
    const outline = JSON.parse((await build("--call", "outline,format=json", directory)).stdout);
    assert.deepEqual(
      outline.args.map(({ name, value }: { name: string; value: string }) => [name, value]),
      [["WHO", "me"]],
    );
    const targets = JSON.parse((await build("--call", "targets,format=json", directory)).stdout);
    assert.deepEqual(
      targets.targets.map(({ name }: { name: string }) => name),
      ["lower"],
    );
  });

  it("shows and prunes the cache, and what the builder is", async () => {
    const { stdout: usage } = await buildx.run("du", "--builder", "fleet", "--verbose", "--filter", "type=regular");
    assert.match(usage, /Type:\s+regular/);
    await buildx.run("prune", "--builder", "fleet", "--all", "--force");
    assert.match((await buildx.run("du", "--builder", "fleet")).stdout, /Total:\s+0B/);
    const { stdout } = await buildx.run("inspect", "fleet");
    assert.match(stdout, /Driver:\s+remote/);
    assert.match(stdout, /Platforms:\s+linux\//);
    assert.match(stdout, /org\.mobyproject\.buildkit\.worker\.executor:\s+oci/);
  });
});
