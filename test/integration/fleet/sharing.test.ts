import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { image } from "../../../src/llb/builder/index.ts";
import { type BuildClient, CliProcess, Sandbox, waitFor } from "../../helpers/sandbox/index.ts";

describe("what a build may ask of the fleet", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  const pools = ["small", "large"];

  before(async () => {
    sandbox = await Sandbox.start({ agents: 0 });
    client = await sandbox.connect();
    for (const pool of pools) await sandbox.startAgent({ slots: pool === "small" ? 2 : 1, labels: { pool } });
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  const cli = (args: readonly string[]) =>
    new CliProcess(args, { BUILDFLEET_ADDR: sandbox.heads[0]?.address ?? "", HOME: sandbox.root });
  const inPool = (pool: string, command: string) =>
    image(sandbox.image()).run({ args: ["sh", "-c", command], filters: [`labels.pool==${pool}`] });

  it("runs no more of its steps at once than it says", async () => {
    const stage = (name: string) =>
      `FROM ${sandbox.image()} AS ${name}\nRUN cut -d' ' -f1 /proc/uptime > /${name}; sleep 1; cut -d' ' -f1 /proc/uptime >> /${name}\n`;
    const names = ["a", "b", "c"];
    const copies = names.map((name) => `COPY --from=${name} /${name} /\n`).join("");
    const directory = await client.writeContext({
      Dockerfile: `${names.map(stage).join("")}FROM scratch\n${copies}`,
    });
    const output = join(sandbox.root, "one-by-one");
    const { code, stderr } = await cli(["build", "--parallelism", "1", "-o", output, directory]).ended;
    assert.equal(code, 0, stderr);
    const times = await Promise.all(
      names.map(async (name) => (await readFile(join(output, name), "utf8")).trim().split("\n").map(Number)),
    );
    times.sort(([a = 0], [b = 0]) => a - b);
    for (const [index, [start = 0]] of times.entries()) {
      const [, end = 0] = times[index - 1] ?? [];
      assert.ok(start >= end, JSON.stringify(times));
    }
  });

  it("fails at once for a pool that no agent is of, and says so", async () => {
    await assert.rejects(
      client.build({ state: inPool("huge", "true") }),
      /no agent offers .*worker filter "labels\.pool==huge": the 2 in the fleet offer /,
    );
  });

  it("runs the steps of a Dockerfile in the pool it names", async () => {
    const build = async (pool: string, output: string) => {
      // Where the layers below the container's root are tells whose they are.
      const find = `RUN echo ${pool}; grep -o "${sandbox.root}/[^/]*" /proc/self/mountinfo | head -n 1 > /where`;
      const directory = await client.writeContext({
        Dockerfile: `FROM ${sandbox.image()} AS step\n${find}\nFROM scratch\nCOPY --from=step /where /\n`,
      });
      return cli(["build", "--pool", pool, "-o", output, directory]).ended;
    };
    for (const [index, pool] of pools.entries()) {
      const output = join(sandbox.root, `in-${pool}`);
      const { code, stderr } = await build(pool, output);
      assert.equal(code, 0, stderr);
      assert.equal((await readFile(join(output, "where"), "utf8")).trim(), sandbox.agents[index]?.root);
    }
    const { code, stderr } = await build("huge", join(sandbox.root, "in-huge"));
    assert.equal(code, 1);
    assert.match(stderr, /no agent offers .*worker filter "labels\.pool==huge"/);
  });

  it("tells what its steps wait for, and goes on when it is there", async () => {
    const abort = new AbortController();
    const busy = Array.from({ length: 3 }, (_, index) =>
      client.build({ state: inPool(index === 0 ? "large" : "small", `sleep 600; : ${index}`), signal: abort.signal }),
    );
    const gone = Promise.allSettled(busy);
    await waitFor("the fleet to be busy", () => sandbox.containers().length === 3);
    const directory = await client.writeContext({ Dockerfile: `FROM ${sandbox.image()}\nRUN echo waited\n` });
    const waiting = cli(["build", directory]);
    await waiting.said(/waiting for a slot: the 2 agents that may run it are busy/);
    abort.abort();
    await gone;
    const { code, stderr } = await waiting.ended;
    assert.equal(code, 0, stderr);
  });
});
