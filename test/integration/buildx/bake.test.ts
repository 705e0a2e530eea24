import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { CountingProxy } from "../../helpers/counting-proxy.ts";
import { type BuildClient, Buildx, Sandbox } from "../../helpers/sandbox/index.ts";

const targets = 20;
const contextBytes = 2 << 20;

describe("docker buildx bake on a fleet", { skip: await Buildx.missing() }, async () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let buildx: Buildx;
  let proxy: CountingProxy;
  before(async () => {
    sandbox = await Sandbox.start({ agents: 2 });
    client = await sandbox.connect();
    proxy = await CountingProxy.listen(sandbox.heads[0]?.address ?? "");
    sandbox.defer(() => proxy[Symbol.asyncDispose]());
    buildx = await Buildx.open(join(sandbox.root, "docker"), "unix:///nonexistent");
    await buildx.run("create", "--name", "fleet", "--driver", "remote", proxy.address);
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  const bake = (...args: readonly string[]) => buildx.run("bake", "--builder", "fleet", "--progress", "plain", ...args);
  const text = (directory: string, ...path: readonly string[]) => readFile(join(directory, ...path), "utf8");

  // Older ones have a session for each target, which sends by itself.
  const sharesSessions = { skip: await Buildx.missing(20) };
  it("sends the context that its targets share once", sharesSessions, async () => {
    const context = await client.writeContext({
      blob: randomBytes(contextBytes),
      Dockerfile: `FROM ${sandbox.image()} AS made\nARG N\nCOPY blob /blob\nRUN echo "target $N" > /n\nFROM scratch\nCOPY --from=made /n /n\n`,
    });
    const out = join(sandbox.root, "shared");
    const file = await client.writeContext({
      "docker-bake.hcl": `
        group "default" { targets = ["app"] }
        target "app" {
          name = "app-\${n}"
          matrix = { n = ${JSON.stringify(Array.from({ length: targets }, (_, n) => `${n}`))} }
          context = "${context}"
          args = { N = n }
          output = ["type=local,dest=${out}/\${n}"]
        }`,
    });
    const before = proxy.sent;
    await bake("--file", join(file, "docker-bake.hcl"));
    const sent = proxy.sent - before;
    assert.ok(sent >= contextBytes && sent < 1.5 * contextBytes, `${sent} bytes sent`);
    for (let n = 0; n < targets; n++) assert.equal(await text(out, `${n}`, "n"), `target ${n}\n`);
  });

  it("takes HCL, JSON and compose files, contexts that are targets, overrides, and tells what came of each target", async () => {
    const context = await client.writeContext({
      Dockerfile: `FROM ${sandbox.image()} AS made\nARG WHO=nobody\nRUN echo "for $WHO" > /who\nFROM scratch\nCOPY --from=made /who /who\n`,
      "dependent.Dockerfile": "FROM scratch\nCOPY --from=first /who /from\n",
    });
    const out = join(sandbox.root, "mixed");
    const files = await client.writeContext({
      "bake.hcl": `
        variable "WHO" { default = "a default" }
        group "both" { targets = ["first", "second"] }
        target "first" {
          context = "${context}"
          args = { WHO = WHO }
          output = ["type=cacheonly"]
        }
        target "second" {
          context = "${context}"
          dockerfile = "dependent.Dockerfile"
          contexts = { first = "target:first" }
          output = ["type=local,dest=${out}/second"]
        }`,
      "bake.json": JSON.stringify({
        target: { third: { context, args: { WHO: "json" }, output: [`type=local,dest=${out}/third`] } },
      }),
      "compose.yaml": `services:\n  fourth:\n    image: ${sandbox.image("baked:latest")}\n    build:\n      context: ${context}\n      args: { WHO: compose }\n`,
    });
    const metadata = join(sandbox.root, "metadata.json");
    const given = ["bake.hcl", "bake.json", "compose.yaml"].flatMap((name) => ["--file", join(files, name)]);
    await bake(
      ...given,
      ...["--metadata-file", metadata, "--set", "first.args.WHO=an override", "--set", "fourth.output=type=registry"],
      // A single manifest: buildx copies those of an index at the same time as the index, which registries may refuse.
      ...["--set", "fourth.attest=type=provenance,disabled=true"],
      ...["both", "third", "fourth"],
    );
    assert.equal(await text(out, "second", "from"), "for an override\n");
    assert.equal(await text(out, "third", "who"), "for json\n");
    const told = JSON.parse(await readFile(metadata, "utf8"));
    assert.deepEqual(
      Object.keys(told)
        .filter((key) => !key.startsWith("buildx."))
        .sort(),
      ["first", "fourth", "second", "third"],
    );
    assert.equal(told.fourth["image.name"], sandbox.image("baked:latest"));
    assert.match(told.fourth["containerimage.digest"], /^sha256:/);
    const { stdout } = await buildx.run("imagetools", "inspect", sandbox.image("baked:latest"));
    assert.ok(stdout.includes(told.fourth["containerimage.digest"]));
    await buildx.run("imagetools", "create", "--tag", sandbox.image("again:latest"), sandbox.image("baked:latest"));
    const again = await buildx.run("imagetools", "inspect", sandbox.image("again:latest"));
    assert.ok(again.stdout.includes("sha256:"));
  });

  it("fails as a whole when a target fails", async () => {
    const context = await client.writeContext({ Dockerfile: `FROM ${sandbox.image()}\nARG N\nRUN exit $N\n` });
    const file = await client.writeContext({
      "bake.json": JSON.stringify({
        group: { default: { targets: ["good", "bad"] } },
        target: {
          good: { context, args: { N: "0" }, output: ["type=cacheonly"] },
          bad: { context, args: { N: "3" }, output: ["type=cacheonly"] },
        },
      }),
    });
    await assert.rejects(bake("--file", join(file, "bake.json")), /exit code: 3/);
  });
});
