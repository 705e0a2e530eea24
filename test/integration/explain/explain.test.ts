import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { inspect, promisify } from "node:util";
import { PruneRequest } from "../../../src/api/gen/control.ts";
import { SqliteKeyValueStore } from "../../../src/bus/index.ts";
import { HistorySteps } from "../../../src/coordinator/history/history-steps.ts";
import type { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { type BuildClient, makeLayer, pushImage, Sandbox, type TestBuild } from "../../helpers/sandbox/index.ts";
import { causesOf, explain, explainStep } from "./explanations.ts";

const main = join(import.meta.dirname, "../../../src/cli/main.ts");

describe("why steps were not cached", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  before(async () => {
    sandbox = await Sandbox.start({ standalone: true });
    client = await sandbox.connect();
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  const dockerfile = (...lines: readonly string[]) => [`FROM ${sandbox.image()}`, ...lines].join("\n");
  const prune = async () => {
    const request = PruneRequest.fromPartial({ all: true });
    for await (const _ of client.control.prune(request, AbortSignal.timeout(60_000)));
  };

  it("says of the first build that there was none before", async () => {
    await client.build({ dockerfile: dockerfile("RUN echo the very first") });
    const { steps, compared } = await explain(client);
    assert.equal(compared, 0);
    assert.equal(steps.find(({ name }) => name.includes("very first"))?.reason, "first");
  });

  it("says so when nothing like it was built", async () => {
    await client.build({ dockerfile: dockerfile("RUN echo something") });
    await client.build({ dockerfile: dockerfile("WORKDIR /else", "RUN touch unheard-of") });
    assert.equal((await explainStep(client, "unheard-of")).reason, "first");
  });

  it("names the files of a context that changed, though the earlier ones are overwritten and pruned", async () => {
    const context = await client.writeContext({
      "src/same": "same",
      "src/changed": "before",
      "src/removed": "gone soon",
      "src/directory/file": "gone with its directory",
      outside: "not copied",
    });
    const build: TestBuild = { context, dockerfile: dockerfile("COPY src /src", "RUN cat /src/changed") };
    await client.build(build);
    await writeFile(join(context, "src/changed"), "after");
    await writeFile(join(context, "src/added"), "new");
    await writeFile(join(context, "outside"), "changed, and not copied");
    await rm(join(context, "src/removed"));
    await rm(join(context, "src/directory"), { recursive: true });
    await client.build(build);
    await prune();

    const { steps } = await explain(client);
    const ran = steps.filter(({ reason }) => reason !== "local");
    assert.deepEqual(
      ran.map(({ name, reason }) => [name, reason]),
      [
        ["[2/3] COPY src /src", "changed"],
        ["[3/3] RUN cat /src/changed", "follows"],
      ],
    );
    assert.deepEqual(ran.map(causesOf), [
      [
        "input #2 [internal] load build context: added src/added, changed src/changed, removed src/directory/file, removed src/removed",
      ],
      ["input #1 [2/3] COPY src /src:"],
    ]);
    assert.ok(steps.some(({ name, reason }) => name === "[internal] load build context" && reason === "local"));
  });

  it("names files behind patterns and copies from other stages", async () => {
    const build = (text: string): TestBuild => ({
      context: { "a.txt": text, "b.txt": "b", "c.md": text },
      dockerfile: dockerfile(
        "COPY *.txt /texts/",
        "RUN cat /texts/* > /result",
        `FROM ${sandbox.image()}`,
        "COPY --from=0 /result /result",
      ),
    });
    await client.build(build("one"));
    await client.build(build("two"));
    const { steps } = await explain(client);
    const find = (name: string) => steps.filter((step) => step.name.includes(name)).flatMap(causesOf);
    assert.deepEqual(find("COPY *.txt"), ["input #2 [internal] load build context: changed a.txt"]);
    assert.deepEqual(find("COPY --from=0"), ["input #2 [stage-0 3/3] RUN cat /texts/* > /result: changed result"]);
  });

  it("tells the command, variables and build arguments of a RUN", async () => {
    const build = (command: string, options: Readonly<Record<string, string>> = {}, variable = "1"): TestBuild => ({
      dockerfile: dockerfile(`ENV SETTING=${variable}`, "ARG RELEASE=none", `RUN make ${command}`),
      options,
    });
    const tried = (build: TestBuild) =>
      client.build({ ...build, dockerfile: build.dockerfile?.replace("make", "echo") ?? "" });
    await tried(build("all docs"));
    await tried(build("all tests"));
    assert.deepEqual(causesOf(await explainStep(client, "RUN")), ["command: echo all docs -> echo all tests"]);
    await tried(build("all tests", { "build-arg:RELEASE": "two" }));
    assert.deepEqual(causesOf(await explainStep(client, "RUN")), ["build argument RELEASE: none -> two"]);
    await tried(build("all tests", { "build-arg:RELEASE": "two" }, "2"));
    assert.deepEqual(causesOf(await explainStep(client, "RUN")), ["variable SETTING: 1 -> 2"]);
  });

  it("tells that an image has moved", async () => {
    const name = `${sandbox.registry}/moving:latest`;
    const files = (text: string) => [makeLayer([{ path: "file", data: text }])];
    const first = await pushImage(name, files("one"));
    const build: TestBuild = { dockerfile: `FROM ${name}\nCOPY . /`, context: { file: "mine" } };
    await client.build(build);
    const second = await pushImage(name, files("two"));
    await client.build(build);
    const { steps } = await explain(client);
    const [from, copy] = steps;
    assert.match(from?.name ?? "", /FROM/);
    assert.deepEqual(from && causesOf(from), [`moved ${name}: ${first} -> ${second}`]);
    assert.equal(copy?.reason, "follows");

    await pushImage(name, files("one"));
    await client.build({ ...build, dockerfile: `FROM ${name}\nCOPY . /elsewhere` });
    const other = await explainStep(client, "COPY");
    assert.equal(other.reason, "changed");
    assert.deepEqual(causesOf(other), ["copy destination: / -> /elsewhere"], "the image is the one of the first build");
  });

  it("names the image behind an input that did not run itself", async () => {
    const build = (image: string): TestBuild => ({ dockerfile: `FROM ${sandbox.image(image)}\nRUN echo on it` });
    await client.build({ dockerfile: `FROM ${sandbox.image("layered:latest")}\nRUN echo before` });
    await client.build(build("busybox:latest"));
    await client.build(build("layered:latest"));
    const step = await explainStep(client, "on it");
    assert.equal(step.reason, "changed");
    assert.match(
      causesOf(step).at(-1) ?? "",
      /^input #1 \[1\/2\] FROM .*: because of \[1\/2\] FROM .*: image: .*busybox:latest -> .*layered:latest$/,
    );
  });

  it("tells the id of a cache mount where it counts", async () => {
    const build = (mount: string): TestBuild => ({ dockerfile: dockerfile(`RUN --mount=${mount} echo with mounts`) });
    await client.build(build("type=cache,target=/cache"));
    await client.build(build("type=cache,target=/cache,id=one"));
    assert.deepEqual(causesOf(await explainStep(client, "RUN")), [
      "mount /cache: cache, default id /cache -> cache, id or sharing of its own",
    ]);
    await client.build(build("type=cache,target=/cache,id=two"));
    assert.equal((await explainStep(client, "RUN")).reason, "cached");
    await client.build(build("type=tmpfs,target=/cache"));
    assert.deepEqual(causesOf(await explainStep(client, "RUN")), [
      "mount /cache: cache, id or sharing of its own -> tmpfs",
    ]);
  });

  it("tells that no cache was wanted", async () => {
    const build: TestBuild = { dockerfile: dockerfile("RUN echo again and again") };
    await client.build(build);
    await client.build({ ...build, options: { "no-cache": "" } });
    assert.equal((await explainStep(client, "again")).reason, "no-cache");
  });

  it("tells that the result was pruned", async () => {
    const build: TestBuild = { dockerfile: dockerfile("RUN echo pruned later") };
    await client.build(build);
    const first = (await explain(client)).build;
    await prune();
    await client.build(build);
    const step = await explainStep(client, "pruned later");
    assert.deepEqual([step.reason, step.earlier?.build], ["gone", first]);
  });

  it("tells that the same has failed before", async () => {
    const build: TestBuild = { dockerfile: dockerfile("RUN exit 7") };
    for (const reason of ["changed", "failed-before"]) {
      await assert.rejects(client.build(build), /exit code: 7/);
      const step = await explainStep(client, "exit 7");
      assert.deepEqual([step.how, step.reason === "first" ? "changed" : step.reason], ["failed", reason]);
    }
  });

  it("tells where a cached step came from", async () => {
    const ref = `${sandbox.registry}/cache:explained`;
    const build: TestBuild = { dockerfile: dockerfile("RUN echo imported later") };
    await client.build({ ...build, cacheExports: [{ type: "registry", attributes: { ref, mode: "max" } }] });
    await client.build(build);
    assert.deepEqual(pick(await explainStep(client, "imported later")), ["cached", ""]);
    await prune();
    await client.build({ ...build, cacheImports: [{ type: "registry", attributes: { ref } }] });
    assert.deepEqual(pick(await explainStep(client, "imported later")), ["cached", ref]);
  });

  it("shows no secret, on any way", async () => {
    const value = "only-the-client-knows-this";
    const build = (id: string): TestBuild => ({
      dockerfile: dockerfile(
        `RUN --mount=type=secret,id=${id},env=TOKEN --mount=type=secret,id=${id} wc -c /run/secrets/${id}`,
      ),
      secrets: { [id]: value },
    });
    await client.build(build("one"));
    await client.build(build("two"));
    const { build: ref, steps } = await explain(client, "RUN");
    assert.deepEqual(steps.flatMap(causesOf), [
      "command: wc -c /run/secrets/one -> wc -c /run/secrets/two",
      "secret variable TOKEN: id one (optional) -> id two (optional)",
      "mount /run/secrets/one: secret, id one (optional), owner 0:0 mode 0400 -> undefined",
      "mount /run/secrets/two: undefined -> secret, id two (optional), owner 0:0 mode 0400",
    ]);
    using store = new SqliteKeyValueStore(join(sandbox.root, "standalone", "coordinator.db"));
    const recorded = await new HistorySteps(await store.open("history-blobs")).get(ref);
    assert.ok((recorded?.length ?? 0) > 1);
    for (const text of [inspect(steps, { depth: null }), JSON.stringify(recorded)]) assert.ok(!text.includes(value));
  });

  it("finds steps by number, digest and name", async () => {
    await client.build({ dockerfile: dockerfile("RUN echo found") });
    const all = await explain(client);
    const step = all.steps.find(({ name }) => name.includes("echo found"));
    assert.ok(step && step.number > 0);
    for (const way of [`${step.number}`, `#${step.number}`, step.digest, step.digest.slice(7, 20), "ECHO found"]) {
      assert.deepEqual((await explain(client, way, all.build)).steps[0]?.digest, step.digest, way);
    }
    await assert.rejects(explain(client, "no such step"), (error: BuildError) => {
      assert.equal(error.code, Code.NotFound);
      return error.message.includes("RUN echo found");
    });
    await assert.rejects(explain(client, "", "nonsense"), { code: Code.NotFound });
  });

  it("is a command", async () => {
    const { address } = sandbox.heads[0] as (typeof sandbox.heads)[0];
    const run = async (...args: readonly string[]) =>
      (await promisify(execFile)(process.execPath, [main, "--addr", address, "explain", ...args])).stdout;
    const context = await client.writeContext({ file: "1" });
    const build: TestBuild = { context, dockerfile: dockerfile("COPY file /told", "RUN cat /told") };
    await client.build(build);
    await writeFile(join(context, "file"), "2");
    await client.build(build);
    const { build: ref } = await explain(client);
    const { build: before } = await explain(client, "", "^1");
    const [text, one, json] = await Promise.all([
      run(),
      run(ref.slice(0, 12), "told", "--files=1"),
      run(ref, "--format=json"),
    ]);
    const lines = text.replace(/ of \d{4}-\d\d-\d\dT[\d:]+Z/g, "").split("\n");
    assert.match(lines[0] ?? "", new RegExp(`^Build ${ref}, compared with \\d+ earlier builds$`));
    const at = lines.findIndex((line) => line.endsWith("COPY file /told"));
    assert.deepEqual(lines.slice(at + 1, at + 4), [
      `  differs from build ${before}:`,
      "    input #2 ([internal] load build context) has other content",
      "      changed  file",
    ]);
    assert.ok(one.includes("COPY file /told") && one.includes("RUN cat /told") && !one.includes("Read anew"));
    assert.equal(JSON.parse(json).steps[0].causes[0].files[0].path, "file");
  });
});

function pick({ how, importedFrom }: { readonly how: string; readonly importedFrom: string }): string[] {
  return [how, importedFrom];
}
