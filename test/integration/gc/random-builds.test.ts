import assert from "node:assert/strict";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import { PruneRequest } from "../../../src/api/gen/control.ts";
import { CacheSharingOpt } from "../../../src/api/gen/ops.ts";
import { diff, FileAction, image, local, merge, type State, scratch } from "../../../src/llb/builder/index.ts";
import {
  type BuildClient,
  directoryOutput,
  pushOutput,
  Sandbox,
  type TestBuild,
  waitFor,
} from "../../helpers/sandbox/index.ts";

/** A few layers, so that every build is over the limit for most of its time. */
const limitBytes = 12e6;
const largestLayerBytes = 1.5e6;
const lanes = 4;
const buildsEach = 8;

for (const standalone of [true, false]) {
  describe(`random builds with hardly any room in ${standalone ? "a standalone daemon" : "a fleet"}`, () =>
    randomBuilds(standalone));
}

/** A fleet has two coordinators, each with builds. */
function randomBuilds(standalone: boolean): void {
  let sandbox: Sandbox;
  let clients: readonly BuildClient[];
  let client: BuildClient;

  before(async () => {
    sandbox = await Sandbox.start({
      standalone,
      agents: 2,
      coordinators: 2,
      gcPolicy: `[[worker.oci.gcpolicy]]\nall = true\nmaxUsedSpace = ${limitBytes}\n`,
    });
    clients = await Promise.all(sandbox.heads.map((_, head) => sandbox.connect(head)));
    [client = assert.fail()] = clients;
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  const run = async (random: () => number, prefix: string) => {
    const directory = await client.writeContext({ f: "context" });
    const lane = async (name: number) => {
      const builder = clients[name % clients.length] ?? client;
      for (let build = 0; build < buildsEach; build++) {
        await builder.build(randomBuild(random, sandbox, directory, `${prefix}-${name}-${build}`));
      }
    };
    await Promise.all(Array.from({ length: lanes }, (_, name) => lane(name)));
  };

  it("all succeed, and leave no more than the limit", async (test) => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    test.diagnostic(`seed ${seed}`);
    const random = randomNumbers(seed);
    await run(random, "limit");
    for (const { id } of await client.control.workers([], AbortSignal.timeout(10_000)).then(agentsOf)) {
      await waitFor(`agent ${id} to be under its limit`, async () => {
        const records = await client.control.diskUsage([`agent==${id}`], AbortSignal.timeout(30_000));
        return records.reduce((sum, { Size }) => sum + Size, 0) <= limitBytes;
      });
    }
  });

  it("all succeed while everything is pruned again and again, and leave nothing then", async (test) => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    test.diagnostic(`seed ${seed}`);
    const random = randomNumbers(seed);
    const ended = new AbortController();
    const prune = async (pruner: BuildClient) => {
      const request = PruneRequest.fromPartial({ all: true });
      for await (const _ of pruner.control.prune(request, AbortSignal.timeout(60_000)));
    };
    const pruning = (async () => {
      for (let round = 0; !ended.signal.aborted; round++) {
        await prune(clients[round % clients.length] ?? client);
        await setTimeout(random() * 200);
      }
    })();
    try {
      await run(random, "prune");
    } finally {
      ended.abort();
      await pruning;
    }
    await prune(client);
    assert.deepEqual(await client.control.diskUsage([], AbortSignal.timeout(30_000)), []);
  });
}

function agentsOf(workers: readonly { readonly ID: string }[]) {
  return workers.map(({ ID }) => ({ id: ID }));
}

/** Some states, each made of earlier ones; few enough names that builds share steps, now and then while both run. */
function randomBuild(random: () => number, sandbox: Sandbox, directory: string, name: string): TestBuild {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const base = image(sandbox.image());
  const states: State[] = [base, image(sandbox.image("layered:latest"))];
  const steps = 2 + Math.floor(random() * 5);
  for (let step = 0; step < steps; step++) {
    const from = pick(states);
    const what = Math.floor(random() * 12);
    const bytes = Math.floor(random() * largestLayerBytes);
    const makers = [
      () => base.run({ args: ["sh", "-ec", `head -c ${largestLayerBytes} /dev/urandom > /shared-${what}`] }),
      () => base.run({ args: ["sh", "-ec", `head -c ${bytes} /dev/urandom > /${name}-${step}`] }),
      () =>
        base.run({
          args: ["sh", "-ec", `echo ${name} >> /cache/list; cp /cache/list /${name}-${step}`],
          mounts: [
            { target: "/cache", cache: { id: `m${what % 3}`, sharing: CacheSharingOpt.SHARED } },
            { target: "/other", source: from, readonly: true },
          ],
        }),
      () => from.file(FileAction.none.mkfile(`/file-${what}`, 0o644, "x".repeat(1000 * what))),
      () => from.file(FileAction.none.copy(local("src"), "/f", `/copied-${what}`)),
      () => scratch().file(FileAction.none.copy(pick(states), "/", "/copy")),
      () => merge([from, pick(states)]),
      () => diff(base, from),
    ];
    states.push(pick(makers)());
  }
  const outputs = pick([
    () => [],
    () => [directoryOutput(join(sandbox.root, "output", name))],
    () => [pushOutput(sandbox.image(`random:${name}`))],
  ])();
  return { state: states.at(-1) ?? base, locals: { src: directory }, outputs };
}

/** Numbers below 1 that depend on the seed alone (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
