import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { image, merge, type State } from "../../../src/llb/builder/index.ts";
import { directoryOutput, Sandbox, type SandboxAgent, waitFor } from "../../helpers/sandbox/index.ts";

describe("the index of a fleet", () => {
  let sandbox: Sandbox;
  let counter: Server;
  let outputs = 0;
  /** How often a step ran, by its name: each run asks for `/<name>`. */
  const runs = new Map<string, number>();

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, coordinators: 2 });
    counter = createServer((request, response) => {
      const name = (request.url ?? "/").slice(1);
      runs.set(name, (runs.get(name) ?? 0) + 1);
      response.end();
    });
    await new Promise<void>((resolve) => counter.listen(0, "127.0.0.1", resolve));
  });
  afterEach(() => sandbox.idle());
  after(async () => {
    counter?.close();
    await sandbox?.[Symbol.asyncDispose]();
  });

  /** A step that no cache but the index can know: what it makes is another thing each time. */
  function step(base: State, name: string, agent?: SandboxAgent): State {
    const address = counter.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const count = `wget -q -O /dev/null http://127.0.0.1:${address.port}/${name}`;
    return base.run({
      args: ["sh", "-ec", `${count}; cat /proc/sys/kernel/random/uuid > /${name}`],
      customName: name,
      ...(agent === undefined ? {} : { filters: [`id==${agent.id}`] }),
    });
  }
  const base = () => image(sandbox.image());

  async function built(state: State, file: string, head: number, onComplete: (name: string) => void = () => {}) {
    const path = join(sandbox.root, `output-${outputs++}`);
    const client = await sandbox.connect(head);
    await client.build({
      state,
      outputs: [directoryOutput(path)],
      onVertex: ({ name, completed, error }) => {
        if (completed && error === "") onComplete(name);
      },
    });
    return readFile(join(path, file), "utf8");
  }

  /** Waits until a coordinator sees these agents alone. */
  async function workersOf(head: number, ids: readonly string[]): Promise<void> {
    const { control } = await sandbox.connect(head);
    await waitFor("a coordinator to see what agents there are", async () => {
      const seen = (await control.workers([], AbortSignal.timeout(10_000))).map(({ ID }) => ID);
      return seen.sort().join() === [...ids].sort().join();
    });
  }

  it("gives to any coordinator what was complete when its build began", async () => {
    const names = Array.from({ length: 8 }, (_, i) => `complete-${i}`);
    const states = names.map((_, i) => names.slice(0, i + 1).reduce((state, name) => step(state, name), base()));
    const others = new Map<string, Promise<string>>();
    const last = names.at(-1) ?? "";
    const first = built(states.at(-1) ?? base(), last, 0, (name) => {
      const state = states[names.indexOf(name)];
      // In the middle of the first coordinator's build, at the moment it says that the step is complete.
      if (state !== undefined && !others.has(name)) others.set(name, built(state, name, 1));
    });
    assert.equal(await first, await others.get(last));
    await Promise.all(others.values());
    for (const name of names) assert.equal(runs.get(name), 1, `${name} ran twice`);
  });

  it("lets two coordinators build the same at the same time", async () => {
    const state = merge([step(base(), "same-one"), step(base(), "same-two")]);
    const both = await Promise.all([built(state, "same-one", 0), built(state, "same-one", 1)]);
    assert.ok((runs.get("same-one") ?? 0) <= 2);
    // From now on they agree.
    const later = await Promise.all([built(state, "same-one", 0), built(state, "same-one", 1)]);
    assert.equal(later[0], later[1]);
    assert.ok(both.includes(later[0] ?? ""));
  });

  it("goes on after NATS was killed", async () => {
    const before = await built(step(base(), "before-kill"), "before-kill", 0);
    await sandbox.nats.stop("SIGKILL");
    await sandbox.nats.start();
    const after = await built(step(base(), "after-kill"), "after-kill", 0);
    assert.equal(await built(step(base(), "before-kill"), "before-kill", 1), before);
    assert.equal(await built(step(base(), "after-kill"), "after-kill", 1), after);
    assert.deepEqual([runs.get("before-kill"), runs.get("after-kill")], [1, 1]);
  });

  it("takes what is made while NATS is away", async () => {
    const names = Array.from({ length: 6 }, (_, i) => `away-${i}`);
    const chain = names.reduce((state, name) => step(state, name), base());
    const last = names.at(-1) ?? "";
    const away: Promise<void>[] = [];
    const first = await built(chain, last, 0, (name) => {
      if (name !== names[0] && name !== names[3]) return;
      // What comes next ends while there is no NATS.
      away.push(
        (async () => {
          await sandbox.nats.stop("SIGKILL");
          await new Promise((resolve) => setTimeout(resolve, 1500));
          await sandbox.nats.start();
        })(),
      );
    });
    await Promise.all(away);
    assert.equal(await built(chain, last, 1), first);
    for (const name of names) assert.equal(runs.get(name), 1, `${name} ran again`);
  });

  it("stays when a coordinator is killed, for it and for the others", async () => {
    const first = await built(step(base(), "coordinator"), "coordinator", 0);
    const [head] = sandbox.heads;
    if (head === undefined) throw new Error("no head");
    await head.process.stop("SIGKILL");
    assert.equal(await built(step(base(), "coordinator"), "coordinator", 1), first);
    await sandbox.restartHead(head);
    assert.equal(await built(step(base(), "coordinator"), "coordinator", 0), first);
    assert.equal(runs.get("coordinator"), 1);
  });

  for (const [where, heads, known] of [
    ["one coordinator", [0, 0], false],
    ["two coordinators", [0, 1], false],
    ["two coordinators that know of the loss", [1, 0], true],
  ] as const) {
    it(`has a result made again once that nobody holds any more, for builds of ${where}`, async () => {
      const [holder, other] = sandbox.agents as [SandboxAgent, SandboxAgent];
      const name = `lost-${heads.join("")}-${known}`;
      const lost = step(base(), name);
      await other.process.stop();
      const first = await built(lost, name, 0);
      await sandbox.restartAgent(other);
      await holder.process.stop("SIGKILL");
      if (known) for (const head of heads) await workersOf(head, [other.id]);
      // Both find it in the index, perhaps with a holder; neither can have it.
      const both = await Promise.all(heads.map((head, i) => built(step(lost, `${name}-${i}`), name, head)));
      assert.notEqual(both[0], first);
      assert.equal(both[0], both[1]);
      assert.equal(runs.get(name), 2);
      // What comes back with the first holder is not what the others mean.
      await sandbox.restartAgent(holder);
      for (const agent of [holder, other]) {
        const copied = lost.run({ args: ["cp", `/${name}`, "/copy"], filters: [`id==${agent.id}`] });
        assert.equal(await built(copied, "copy", 1), both[0], `the layer as ${agent.name} has it`);
      }
      assert.equal(runs.get(name), 2);
    });
  }
});
