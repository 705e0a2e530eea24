import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Buildx, DockerEngine, Sandbox } from "../../helpers/sandbox/index.ts";

const skip = (await DockerEngine.missing()) || (await Buildx.missing());

/** Builders of buildx. */
const engine = "default";
const fleet = "fleet";

/** Steps whose results the other side must not make again. */
const steps = ["[one 2/4]", "[one 3/4]", "[one 4/4]", "[two 2/2]", "[stage-2 2/4]", "[stage-2 3/4]", "[stage-2 4/4]"];

interface Exchange {
  /** Attributes of the exports. */
  readonly exports: readonly string[];
  readonly imports: readonly string[];
  /** The result is pushed: an inline cache travels in it. */
  readonly push?: string;
}

describe("caches travel between Buildfleet and a Docker engine's BuildKit", { skip }, () => {
  let sandbox: Sandbox;
  let buildx: Buildx;
  let context: string;
  let count = 0;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, namespaces: true });
    const docker = await DockerEngine.start({
      host: await sandbox.addHost(),
      directory: join(sandbox.root, "engine"),
      insecureRegistries: [sandbox.registry],
    });
    sandbox.defer(() => docker[Symbol.asyncDispose]());
    buildx = await Buildx.open(join(sandbox.root, "docker"), docker.address);
    await buildx.run("create", "--name", fleet, "--driver", "remote", sandbox.heads[0]?.address ?? "");
    context = await (await sandbox.connect()).writeContext({ "a.txt": "a", "sub/x": "x", Dockerfile: dockerfile() });
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
RUN --mount=from=one,src=/,target=/m cat /m/stamp /proc/sys/kernel/random/uuid > /stamps
COPY sub /sub
`;

  /** Builds with nothing in the builder's own cache. @returns which steps were cached, and the marks of those that ran */
  async function build(builder: string, { push }: Exchange, ...more: readonly string[]) {
    await buildx.run("prune", "--builder", builder, "--all", "--force");
    const directory = join(sandbox.root, `output-${count++}`);
    const output = push === undefined ? `type=local,dest=${directory}` : `type=image,name=${push},push=true`;
    const seen = await buildx.build(builder, ["--output", output, ...more, context]);
    if (push !== undefined) return { seen, stamps: "" };
    return { seen, stamps: await readFile(join(directory, "stamps"), "utf8") };
  }

  async function exchange(from: string, to: string, what: Exchange): Promise<void> {
    const first = await build(from, what, ...what.exports.map((one) => `--cache-to=${one}`));
    assert.ok(steps.every((step) => isCached(first.seen, step) === false));
    const second = await build(to, what, ...what.imports.map((one) => `--cache-from=${one}`));
    assert.deepEqual(
      steps.filter((step) => isCached(second.seen, step) !== true),
      [],
      "run again",
    );
    assert.equal(second.stamps, first.stamps);
  }

  function isCached(seen: ReadonlyMap<string, boolean>, step: string): boolean | undefined {
    return [...seen].find(([name]) => name.startsWith(step))?.[1];
  }

  const kinds: Readonly<Record<string, () => Exchange>> = {
    "registry, mode max": () => inRegistry("mode=max"),
    "registry, mode min": () => inRegistry("mode=min"),
    "registry, an index": () => inRegistry("mode=max,image-manifest=false"),
    "registry, Docker's media types": () => inRegistry("mode=max,image-manifest=false,oci-mediatypes=false"),
    ...Object.fromEntries(
      ["zstd", "uncompressed"].map((compression) => [
        `registry, ${compression}`,
        () => inRegistry(`mode=max,compression=${compression},force-compression=true`),
      ]),
    ),
    inline: () => {
      const push = sandbox.image(`inline:${count++}`);
      return { exports: ["type=inline"], imports: [`type=registry,ref=${push}`], push };
    },
    "local, mode max": () => inDirectory("mode=max"),
    "local, mode min": () => inDirectory("mode=min"),
    "several at once": () => {
      const [one, two] = [inRegistry("mode=max"), inDirectory("mode=min")];
      const refused = "type=registry,ref=127.0.0.1:1/none,ignore-error=true";
      const missing = `type=registry,ref=${sandbox.image("cache:none")}`;
      return {
        exports: [...one.exports, ...two.exports, refused],
        imports: [missing, ...one.imports, ...two.imports],
      };
    },
  };

  function inRegistry(attributes: string): Exchange {
    const ref = sandbox.image(`cache:${count++}`);
    return { exports: [`type=registry,ref=${ref},${attributes}`], imports: [`type=registry,ref=${ref}`] };
  }

  function inDirectory(attributes: string): Exchange {
    const directory = join(sandbox.root, `cache-${count++}`);
    return { exports: [`type=local,dest=${directory},${attributes}`], imports: [`type=local,src=${directory}`] };
  }

  for (const [kind, what] of Object.entries(kinds)) {
    it(`from the engine: ${kind}`, () => exchange(engine, fleet, what()));
    it(`to the engine: ${kind}`, () => exchange(fleet, engine, what()));
  }
});
