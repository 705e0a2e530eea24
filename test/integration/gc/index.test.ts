import assert from "node:assert/strict";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { connect } from "@nats-io/transport-node";
import { PruneRequest } from "../../../src/api/gen/control.ts";
import { CacheSharingOpt } from "../../../src/api/gen/ops.ts";
import { NatsKeyValueStore } from "../../../src/bus/index.ts";
import { image, merge, type State } from "../../../src/llb/builder/index.ts";
import { type BuildClient, directoryOutput, pushOutput, Sandbox, waitFor } from "../../helpers/sandbox/index.ts";

const buckets = ["layers", "lineage", "results", "cache-keys", "cache-mounts", "cache-mount-locks"];

describe("the index of a fleet", () => {
  let sandbox: Sandbox;
  let store: NatsKeyValueStore;
  let builder: BuildClient;
  let other: BuildClient;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, coordinators: 2 });
    const connection = await connect({ servers: `nats://${sandbox.nats.address}` });
    sandbox.defer(() => connection.close());
    store = new NatsKeyValueStore(connection);
    builder = await sandbox.connect(0);
    other = await sandbox.connect(1);
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  const entries = async () => {
    const found: Record<string, string[]> = {};
    for (const bucket of buckets) {
      const keys: string[] = [];
      using watch = (await store.open(bucket)).watch("", ({ key, value }) => {
        if (value !== undefined) keys.push(key);
      });
      await watch.ready;
      found[bucket] = keys;
    }
    return found;
  };
  const count = async () => Object.values(await entries()).reduce((sum, keys) => sum + keys.length, 0);
  const prune = async (client: BuildClient, request: Partial<PruneRequest> = { all: true }) => {
    const removed = client.control.prune(PruneRequest.fromPartial(request), AbortSignal.timeout(60_000));
    return (await Array.fromAsync(removed)).length;
  };
  const usage = (client: BuildClient) => client.control.diskUsage([], AbortSignal.timeout(10_000));
  const sh = (state: State, command: string, cacheMount = false) =>
    state.run({
      args: ["sh", "-ec", command],
      ...(cacheMount ? { mounts: [{ target: "/cache", cache: { id: "c", sharing: CacheSharingOpt.SHARED } }] } : {}),
    });

  async function buildAllSorts(name: string): Promise<void> {
    const base = image(sandbox.image());
    const one = sh(base, `echo ${name} > /one`);
    const two = sh(base, `echo ${name} > /cache/f; echo ${name} > /two`, true);
    await builder.build({ state: merge([one, two]), outputs: [directoryOutput(join(sandbox.root, name))] });
    await other.build({
      dockerfile: `FROM ${sandbox.image("layered:latest")} AS a\nRUN echo ${name} > /f\nFROM ${sandbox.image()}\nCOPY f /f\nCOPY --from=a /f /g\nRUN cat /f /g\n`,
      context: { f: name },
    });
    // Never unpacked.
    await builder.build({
      state: image(sandbox.image("layered:latest")),
      outputs: [pushOutput(sandbox.image(`copy:${name}`))],
    });
  }

  it("is empty after a prune of everything, with no build running", async () => {
    await buildAllSorts("first");
    assert.ok((await count()) > 20);
    assert.ok((await prune(other)) > 0);
    assert.deepEqual(await usage(builder), []);
    assert.deepEqual(await entries(), Object.fromEntries(buckets.map((bucket) => [bucket, []])));
  });

  it("does not grow when the same is built and pruned again and again", async () => {
    await buildAllSorts("again");
    const size = await count();
    for (let round = 0; round < 3; round++) {
      await prune(round % 2 === 0 ? builder : other);
      await buildAllSorts("again");
      assert.equal(await count(), size);
    }
  });

  it("loses what was pruned by a filter and keeps the rest", async () => {
    await prune(builder);
    const base = image(sandbox.image());
    const kept = sh(base, "echo kept > /kept");
    const lost = sh(base, "echo lost > /lost");
    await builder.build({ state: kept });
    await other.build({ state: lost });
    await prune(other, { filter: ["description~=lost"] });
    const cached = async (state: State) => (await builder.build({ state })).cached.join();
    assert.match(await cached(kept), /\/kept/);
    assert.doesNotMatch(await cached(lost), /\/lost/);
  });

  it("is pruned to a size on each agent by itself, or on one", async () => {
    await prune(builder);
    const stepBytes = 2e6;
    const on = (id: string, name: string) =>
      image(sandbox.image()).run({
        args: ["sh", "-ec", `head -c ${stepBytes} /dev/urandom > /${name}`],
        filters: [`id==${id}`],
      });
    for (const { id } of sandbox.agents) {
      for (const name of ["x", "y", "z"]) await builder.build({ state: on(id, `${name}-${id}`) });
    }
    const used = async (id: string) => {
      const records = await builder.control.diskUsage([`agent==${id}`], AbortSignal.timeout(10_000));
      return records.reduce((sum, { Size }) => sum + Size, 0);
    };
    const [one = "", two = ""] = sandbox.agents.map(({ id }) => id);
    const maxUsedSpace = Math.ceil((await used(one)) - stepBytes);
    await prune(other, { all: true, maxUsedSpace });
    for (const id of [one, two]) {
      const left = await used(id);
      assert.ok(left > stepBytes && left <= maxUsedSpace, `${id} has ${left}`);
    }
    await prune(other, { all: true, filter: [`agent==${one}`] });
    assert.equal(await used(one), 0);
    assert.ok((await used(two)) > stepBytes);
  });

  it("knows what each layer stands on, on every agent that has it", async () => {
    await prune(builder);
    const step = (id: string, on: State, name: string) =>
      on.run({ args: ["sh", "-ec", `echo ${name} > /${name}`], filters: [`id==${id}`] });
    const [one = "", two = ""] = sandbox.agents.map(({ id }) => id);
    const first = step(one, image(sandbox.image("layered:latest")), "first");
    await builder.build({ state: step(two, first, "second") });
    const records = await builder.control.diskUsage([`agent==${two}`], AbortSignal.timeout(10_000));
    const below = (id: string): readonly string[] => {
      const record = records.find(({ ID }) => ID === id);
      const [parent] = record?.Parents ?? [];
      return [record?.Description ?? "", ...(parent === undefined ? [] : below(parent))];
    };
    const top = records.find(({ Description }) => Description.includes("/second"));
    const stack = below(top?.ID ?? "").map((text) => /\/(second|first)$|^pulled/.exec(text)?.[0]);
    assert.deepEqual(stack, ["/second", "/first", "pulled", "pulled", "pulled"]);
  });

  it("counts a build as a use of all that it found in the cache", async () => {
    await prune(builder);
    const state = sh(image(sandbox.image()), "echo used > /used");
    const uses = async (times: number) =>
      waitFor(`${times} uses`, async () => {
        const record = (await usage(other)).find(({ Description }) => Description.includes("used"));
        return record?.UsageCount === times;
      });
    await builder.build({ state });
    await uses(1);
    await other.build({ state });
    await uses(2);
    await builder.build({ state });
    await uses(3);
  });

  it("says of what a running build holds that it is in use, to clients of any coordinator", async () => {
    await prune(builder);
    const held = sh(image(sandbox.image()), "echo held > /held");
    const stop = new AbortController();
    const build = builder.build({ state: sh(held, "sleep 100"), signal: stop.signal }).catch(() => {});
    const inUse = async () => (await usage(other)).find(({ Description }) => Description.includes("/held"))?.InUse;
    await waitFor("the step", async () => (await inUse()) === true);
    stop.abort();
    await build;
    await waitFor("the end of the build", async () => (await inUse()) === false);
  });
});
