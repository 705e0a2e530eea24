import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { PruneRequest } from "../../../src/api/gen/control.ts";
import { CacheSharingOpt } from "../../../src/api/gen/ops.ts";
import { image, type State } from "../../../src/llb/builder/index.ts";
import { type BuildClient, Sandbox, type SandboxAgent, waitFor } from "../../helpers/sandbox/index.ts";

const { SHARED, LOCKED, PRIVATE } = CacheSharingOpt;

describe("cache mounts of a fleet", () => {
  let sandbox: Sandbox;
  let base: State;
  let client: BuildClient;
  let count = 0;

  before(async () => {
    sandbox = await Sandbox.start({
      agents: 2,
      coordinators: 2,
      agent: { slots: 1 },
      namespaces: true,
    });
    base = image(sandbox.image());
    client = await sandbox.connect();
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  interface Step {
    readonly id: string;
    readonly sharing?: CacheSharingOpt;
    readonly on?: SandboxAgent;
    readonly source?: State;
  }

  /** A step with a cache mount at /cache; never the same one twice. */
  const step = (command: string, { id, sharing = SHARED, on, source }: Step) =>
    base.run({
      args: ["sh", "-ec", `: ${count++}; ip -4 addr show eth0 | awk '/inet /{print "ran on " $2}'; ${command}`],
      mounts: [{ target: "/cache", cache: { id, sharing }, ...(source === undefined ? {} : { source }) }],
      ...(on === undefined ? {} : { filters: [`id==${on.id}`] }),
    });
  const build = (state: State, options: { readonly head?: BuildClient } = {}) =>
    (options.head ?? client).build({ state });
  /** Begins a step that does not end by itself. */
  const start = async (command: string, what: Step, head = client) => {
    const abort = new AbortController();
    const running = head.build({ state: step(command, what), signal: abort.signal });
    running.catch(() => {});
    await waitFor("the step", () => sandbox.containers().some((text) => text.includes("sleep 600")));
    const end = async () => {
      abort.abort();
      await assert.rejects(running);
    };
    return { end };
  };
  const agents = () => {
    const [a, b] = sandbox.agents;
    assert.ok(a !== undefined && b !== undefined);
    return [a, b] as const;
  };
  const ranOn = (log: string) =>
    sandbox.agents.find(({ host }) => log.includes(`ran on ${host?.address}/`)) ?? assert.fail(log);
  const entries = (agent: SandboxAgent) => readdirSync(join(agent.root, "cache-mounts"));

  it("copies the newest version to an agent that has none, with all its attributes", async () => {
    const [a, b] = agents();
    const fill = `cd /cache; mkdir -m 2750 d; echo one > d/f; ln d/f hard; ln -s d/f soft; chown 7:8 d/f; chmod 4711 d/f
      touch -d '2001-02-03 04:05:06.123456789' d/f 2>/dev/null || touch -d 200102030405 d/f; : > d/.wh.plain
      mkfifo p; mknod n c 0 0; chown 9:9 /cache; chmod 1770 /cache`;
    await build(step(fill, { id: "warm", on: a }));
    const look = "cd /cache; cat d/f; stat -c '%n %a %u %g %h %F %y' . d d/f hard soft p n d/.wh.plain";
    const here = (await build(step(look, { id: "warm", on: a }))).log;
    const there = (await build(step(look, { id: "warm", on: b }))).log;
    const facts = (log: string) => log.replace(/ran on .*\n/, "");
    assert.equal(facts(there), facts(here));
    assert.match(there, /one\n\. 1770 9 9/);
    // What was changed there is the newest now.
    await build(step("echo two > /cache/d/f", { id: "warm", on: b }));
    assert.match((await build(step("cat /cache/d/f", { id: "warm", on: a }))).log, /two/);
  });

  it("sends a step to the agent where the mount is warm, and to another one when that has no slot free", async () => {
    for (const agent of agents()) {
      const id = `place-${agent.name}`;
      await build(step("echo kept > /cache/f", { id, on: agent }));
      const { log } = await build(step("cat /cache/f", { id }));
      assert.equal(ranOn(log), agent);
    }
    const [a, b] = agents();
    const { end } = await start("sleep 600", { id: "other", on: a });
    const { log } = await build(step("cat /cache/f", { id: `place-${a.name}` }));
    assert.equal(ranOn(log), b);
    assert.match(log, /kept/);
    await end();
  });

  it("copies the mounts of Dockerfiles, those with an owner too", async () => {
    const [a, b] = agents();
    const mount = "--mount=type=cache,id=dockerfile,target=/cache,uid=1000,mode=0700,sharing=locked";
    const run = (command: string) =>
      `FROM ${sandbox.image()}\nRUN ${mount} ip -4 addr show eth0 | awk '/inet /{print "ran on " $2}'; ${command}`;
    const built = async (other: SandboxAgent, dockerfile: string) => {
      const { end } = await start("sleep 600", { id: "busy", on: other });
      const { log } = await client.build({ dockerfile });
      await end();
      return log;
    };
    const first = await built(b, run("echo made > /cache/f; chown 1000 /cache/f"));
    const second = await built(a, run("cat /cache/f; stat -c '%u %a' /cache /cache/f"));
    assert.deepEqual([ranOn(first), ranOn(second)], [a, b]);
    assert.match(second, /made\n1000 700\n1000 644/);
  });

  it("gives nothing of a failed step to others", async () => {
    const [a, b] = agents();
    await build(step("echo good > /cache/f", { id: "failing", on: a }));
    await build(step("cat /cache/f", { id: "failing", on: b }));
    await assert.rejects(build(step("echo broken > /cache/f; exit 3", { id: "failing", on: a })));
    const { log } = await build(step("cat /cache/f", { id: "failing", on: b }));
    assert.match(log, /good/);
    await assert.rejects(build(step("echo broken > /cache/f; exit 3", { id: "never-good", on: a })));
    assert.match((await build(step("ls /cache | wc -l", { id: "never-good", on: b }))).log, /^0$/m);
  });

  it("gives nothing of a cancelled step to others, and starts empty with a note when nobody can give it", async () => {
    const [a, b] = agents();
    await build(step("echo good > /cache/f", { id: "cancelled", on: a }));
    const { end } = await start("echo broken > /cache/f; sleep 600", { id: "cancelled", on: a });
    await end();
    const { log } = await build(step("ls /cache | wc -l", { id: "cancelled", on: b }));
    assert.match(log, /^0$/m);
    assert.match(log, /cannot copy the cache mount of agent \w+: .*left by a step that failed/);
    // Where the step was cut off its cache is still there: what began empty elsewhere does not take its place.
    assert.match((await build(step("cat /cache/f", { id: "cancelled", on: a }))).log, /broken/);
  });

  it("lets locked steps of two agents and two coordinators run one after the other, each on what the last left", async () => {
    const heads = [client, await sandbox.connect(1)];
    const rounds = 3;
    const started: Promise<string>[] = [];
    for (let i = 0; i < rounds; i++) {
      for (const head of heads) {
        for (const on of agents()) {
          const command = `sed 's/^/begin /' /proc/uptime; echo x >> /cache/n; wc -l < /cache/n | sed 's/^/count /'
            sleep 0.3; sed 's/^/end /' /proc/uptime`;
          const state = step(command, { id: "locked", sharing: LOCKED, on });
          started.push(build(state, { head }).then(({ log }) => log));
        }
      }
    }
    const logs = await Promise.all(started);
    const runs = logs
      .map((log) => ({
        begin: uptime("begin", log),
        end: uptime("end", log),
        count: Number(/^count (\d+)/m.exec(log)?.[1]),
      }))
      .sort((x, y) => x.begin - y.begin);
    runs.forEach((run, index) => {
      assert.equal(run.count, index + 1, "a step did not see what the one before it left");
      const next = runs[index + 1];
      if (next !== undefined) assert.ok(run.end <= next.begin, "two locked steps ran at the same time");
    });
    assert.equal(runs.length, rounds * 4);
  });

  it("frees the lock of an agent that is killed", async () => {
    const [a, b] = agents();
    const { end } = await start("echo held > /cache/f; sleep 600", { id: "killed-agent", sharing: LOCKED, on: a });
    const head = await sandbox.connect(1);
    const next = build(step("echo next; ls /cache | wc -l", { id: "killed-agent", sharing: LOCKED, on: b }), { head });
    await a.process.stop("SIGKILL");
    assert.match((await next).log, /next\n0/);
    await end();
    await sandbox.restartAgent(a);
    await sandbox.idle();
  });

  it("frees the lock of a coordinator that is killed, once its step has ended", async () => {
    const [a, b] = agents();
    const head = sandbox.heads[1] ?? assert.fail();
    const step600 = { id: "killed-head", sharing: LOCKED, on: a };
    const { end } = await start("sleep 600", step600, await sandbox.connect(1));
    await head.process.stop("SIGKILL");
    await build(step(": second", { id: "killed-head", sharing: LOCKED, on: b }));
    assert.deepEqual(sandbox.containers(), []);
    await end();
    await sandbox.restartHead(head);
  });

  it("gives private steps a directory each", async () => {
    const [a, b] = agents();
    await build(step("echo one > /cache/f", { id: "private", sharing: PRIVATE, on: a }));
    const logs = await Promise.all(
      [a, b].map((on) =>
        build(
          step(`ls /cache; echo ${on.name} > /cache/f; sleep 1; cat /cache/f`, { id: "private", sharing: PRIVATE, on }),
        ),
      ),
    );
    for (const [index, { log }] of logs.entries()) assert.match(log, new RegExp(`^agent-${index}$`, "m"));
  });

  it("copies mounts that start from an input", async () => {
    const [a, b] = agents();
    const source = base.run({ args: ["sh", "-ec", "mkdir /seed; echo seed > /seed/s; mkdir /seed/empty"] });
    await build(step("echo more > /cache/seed/more", { id: "seeded", source, on: a }));
    const { log } = await build(
      step("cat /cache/seed/more /cache/seed/s; ls -d /cache/seed/empty", { id: "seeded", source, on: b }),
    );
    assert.match(log, /more\nseed/);
  });

  it("starts anew everywhere when a build ignores its cache", async () => {
    const [a, b] = agents();
    for (const on of [a, b]) await build(step("echo old >> /cache/f", { id: "anew", on }));
    const ignoring = (command: string, on: SandboxAgent) =>
      base.run({
        args: ["sh", "-ec", command],
        mounts: [{ target: "/cache", cache: { id: "anew", sharing: SHARED } }],
        filters: [`id==${on.id}`],
        ignoreCache: true,
      });
    const first = ignoring("ls /cache | wc -l; echo new > /cache/g", a);
    const { log } = await build(first);
    assert.match(log, /^0$/m);
    const after = await build(step("cat /cache/*", { id: "anew", on: b }));
    assert.match(after.log, /^new$/m);
    assert.doesNotMatch(after.log, /old/);
  });

  it("lists and prunes them on every agent, and then nobody is asked for them", async () => {
    const [a, b] = agents();
    await build(step("echo pruned > /cache/f", { id: "pruned", on: a }));
    await build(step("cat /cache/f", { id: "pruned", on: b }));
    const signal = AbortSignal.timeout(60_000);
    const listed = await client.control.diskUsage(["type==exec.cachemount"], signal);
    assert.equal(listed.filter(({ Description: text }) => text.includes('"pruned"')).length, 2);
    const request = PruneRequest.fromPartial({ all: true, filter: ["type==exec.cachemount"] });
    for await (const _ of client.control.prune(request, signal)) {
      // Each is one record.
    }
    for (const agent of agents()) assert.deepEqual(entries(agent), []);
    for (const on of agents()) {
      const { log } = await build(step("ls /cache | wc -l", { id: "pruned", on }));
      assert.match(log, /^0$/m);
      assert.doesNotMatch(log, /cannot copy/);
    }
  });
});

/** Seconds since boot that a step printed: all steps run on one machine. */
function uptime(word: string, log: string): number {
  const found = new RegExp(`^${word} ([\\d.]+) [\\d.]+$`, "m").exec(log)?.[1];
  if (found === undefined) assert.fail(log);
  return Number(found);
}
