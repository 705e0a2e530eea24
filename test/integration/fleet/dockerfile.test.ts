import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { lstat, readFile, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { type BuildClient, directoryOutput, fileOutput, pushOutput, Sandbox } from "../../helpers/sandbox/index.ts";

/** Prints the address of the agent that runs the step. */
const whereAmI = "ip -4 addr show eth0 | awk '/inet /{print \"on \" $2}'";

describe("Dockerfile builds on a fleet", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let outputs = 0;
  const outputPath = () => join(sandbox.root, `output-${outputs++}`);

  before(async () => {
    sandbox = await Sandbox.start({ agents: 3, agent: { slots: 1 }, namespaces: true });
    client = await sandbox.connect();
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  const files = (archive: string) => execFileSync("tar", ["-tf", archive], { encoding: "utf8" }).trim().split("\n");

  it("runs stages on several agents and joins what they made", async () => {
    const path = outputPath();
    // An agent has one slot and its step takes a while: the others go to whoever is idle.
    const stage = (name: string) => `
FROM ${sandbox.image()} AS ${name}
RUN ${whereAmI} && sleep 2 && mkdir /out && echo ${name} > /out/${name}`;
    const done = await client.build({
      dockerfile: `${["a", "b", "c"].map(stage).join("")}
FROM scratch
COPY --from=a /out /
COPY --from=b /out /
COPY --from=c /out /
`,
      outputs: [directoryOutput(path)],
    });
    const places = new Set(done.log.match(/on [\d.]+/g));
    assert.equal(places.size, 3, done.log);
    for (const name of ["a", "b", "c"]) assert.equal(await readFile(join(path, name), "utf8"), `${name}\n`);
  });

  it("copies from the context, sets owners and modes, follows .dockerignore", async () => {
    const path = outputPath();
    await client.build({
      dockerfile: `FROM ${sandbox.image()}
COPY . /src
COPY --chown=alice:staff --chmod=640 one.txt /owned
RUN [ ! -e /src/skipped ] && [ "$(stat -c %U:%G:%a /owned)" = alice:staff:640 ] && cat /src/sub/two.txt > /both
FROM scratch
COPY --from=0 /both /src/one.txt /
`,
      context: { "one.txt": "1", "sub/two.txt": "2", skipped: "x", ".dockerignore": "skipped" },
      outputs: [directoryOutput(path)],
    });
    assert.equal(await readFile(join(path, "both"), "utf8"), "2");
    assert.equal(await readFile(join(path, "one.txt"), "utf8"), "1");
  });

  it("keeps links, set-id bits, attributes and deletions of a base image", async () => {
    const path = outputPath();
    await client.build({
      dockerfile: `FROM ${sandbox.image("layered:latest")}
RUN [ "$LAYERED" = yes ] && [ ! -e /data/deleted ] && [ ! -e /opaque/below ] && [ -e /opaque/above ] && rm /data/named
RUN [ ! -e /data/named ] && ln -s kept /data/soft
`,
      outputs: [directoryOutput(path)],
    });
    assert.equal((await stat(join(path, "data/kept"))).nlink, 2);
    assert.equal((await stat(join(path, "data/link"))).ino, (await stat(join(path, "data/kept"))).ino);
    assert.equal(await readFile(join(path, "data/link-below"), "utf8"), "below");
    assert.equal(await readlink(join(path, "data/soft")), "kept");
    assert.equal((await lstat(join(path, "usr/bin/as-root"))).mode & 0o7777, 0o4755);
    await assert.rejects(lstat(join(path, "data/deleted")), /ENOENT/);
    await assert.rejects(lstat(join(path, "data/named")), /ENOENT/);
    await assert.rejects(lstat(join(path, "opaque/below")), /ENOENT/);
  });

  it("sends tar, oci and docker archives", async () => {
    const [tar, oci, docker] = [outputPath(), outputPath(), outputPath()];
    await client.build({
      dockerfile: `FROM ${sandbox.image()}\nRUN echo made > /made\n`,
      outputs: [
        fileOutput("tar", tar),
        fileOutput("oci", oci, { name: "example.com/made:1" }),
        fileOutput("docker", docker, { name: "example.com/made:1" }),
      ],
    });
    assert.ok(files(tar).includes("made"));
    assert.ok(files(oci).includes("index.json"));
    assert.ok(files(oci).includes("oci-layout"));
    const manifest = execFileSync("tar", ["-xOf", docker, "manifest.json"], { encoding: "utf8" });
    assert.deepEqual(JSON.parse(manifest)[0].RepoTags, ["example.com/made:1"]);
  });

  it("pushes an image that another build pulls and runs", async () => {
    const name = sandbox.image("pushed:latest");
    const done = await client.build({
      dockerfile: `FROM ${sandbox.image()} AS left
RUN echo left > /left
FROM ${sandbox.image()}
RUN echo right > /right
COPY --from=left /left /left
ENV GREETING=hello
USER alice
CMD ["cat", "/left"]
`,
      outputs: [pushOutput(name)],
    });
    const digest = done.response["containerimage.digest"];
    assert.match(digest ?? "", /^sha256:[0-9a-f]{64}$/);
    const used = await client.build({
      dockerfile: `FROM ${name}@${digest}\nRUN echo "$GREETING $(whoami 2>/dev/null || id -un) $(cat /left /right)"\n`,
    });
    assert.match(used.log, /hello alice left\s+right/);
  });

  it("pushes an image of eStargz layers that another build converts and runs", async () => {
    const name = sandbox.image("estargz:latest");
    const manifestOf = async (reference: string) => {
      const [repository, tag] = reference.slice(sandbox.registry.length + 1).split(":");
      const headers = { accept: "application/vnd.oci.image.manifest.v1+json" };
      const answer = await fetch(`http://${sandbox.registry}/v2/${repository}/manifests/${tag}`, { headers });
      return (await answer.json()) as { layers: { annotations?: Record<string, string> }[] };
    };
    const isEstargz = (annotations: object | undefined) =>
      Object.keys(annotations ?? {}).includes("containerd.io/snapshot/stargz/toc.digest");
    const dockerfile = `FROM ${sandbox.image()}\nRUN echo made > /made\n`;
    await client.build({
      dockerfile,
      outputs: [pushOutput(name, { compression: "estargz", "force-compression": "true" })],
    });
    const { layers } = await manifestOf(name);
    assert.deepEqual(
      layers.map(({ annotations }) => isEstargz(annotations)),
      [true, true],
    );
    const again = sandbox.image("gzip:latest");
    const used = await client.build({
      dockerfile: `FROM ${name}\nRUN cat /made && [ ! -e /stargz.index.json ]\n`,
      outputs: [pushOutput(again, { "force-compression": "true" })],
    });
    assert.equal(used.log, "made\n");
    assert.deepEqual(
      (await manifestOf(again)).layers.map(({ annotations }) => isEstargz(annotations)),
      [false, false, false],
    );
    const rerun = await client.build({ dockerfile: `FROM ${again}\nRUN cat /made\n` });
    assert.equal(rerun.log, "made\n");
  });

  it("runs nothing again that it ran before", async () => {
    const build = { dockerfile: `FROM ${sandbox.image()}\nRUN cat /proc/sys/kernel/random/uuid > /id\nRUN cat /id\n` };
    const first = await client.build(build);
    const second = await client.build(build);
    assert.deepEqual(
      second.cached.filter((name) => name.includes("RUN")),
      first.vertices.map(({ name }) => name).filter((name) => name.includes("RUN")),
    );
    assert.equal(second.log, "");
    const fresh = await client.build({ ...build, options: { "no-cache": "" } });
    assert.equal(fresh.cached.filter((name) => name.includes("RUN")).length, 0);
    assert.notEqual(fresh.log, first.log);
  });

  it("fails as the command fails", async () => {
    const failing = client.build({ dockerfile: `FROM ${sandbox.image()}\nRUN echo before && exit 7\n` });
    await assert.rejects(
      failing,
      /process "\/bin\/sh -c echo before && exit 7" did not complete successfully: exit code: 7/,
    );
  });

  it("answers files too large for one message of the bus", async () => {
    const path = outputPath();
    const large = `${"x".repeat(63)}\n`.repeat((5 << 20) / 64);
    await client.build({
      dockerfile: `FROM ${sandbox.image()}\nCOPY <<EOF /large\n${large}EOF\nRUN [ $(wc -c < /large) = ${large.length} ]\n`,
      outputs: [directoryOutput(path)],
    });
    assert.equal((await stat(join(path, "large"))).size, large.length);
  });
});
