import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { pick, randomFrom } from "../../../helpers/random.ts";
import { Sandbox, type SandboxAgent, type SandboxHead } from "../../../helpers/sandbox/index.ts";
import { assertPrunable, assertRepaired, pause } from "./after-start.ts";
import { CrashBuild } from "./crash-build.ts";
import { crashRounds, crashSeed, crashTimeoutMs } from "./settings.ts";

type Victim = "nats" | SandboxHead | SandboxAgent;

describe("a fleet of which a process is killed at any moment", () => {
  let sandbox: Sandbox;
  let heads: [SandboxHead, SandboxHead];
  let agents: [SandboxAgent, SandboxAgent];

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, coordinators: 2 });
    heads = sandbox.heads as typeof heads;
    agents = sandbox.agents as typeof agents;
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  it(`goes on and forgets nothing: seed ${crashSeed}`, { timeout: crashTimeoutMs }, async (t) => {
    const random = randomFrom(crashSeed);
    const startedAt = performance.now();
    const expected = await new CrashBuild(sandbox, "undisturbed").run(await sandbox.connect());
    const buildMs = performance.now() - startedAt;
    for (let round = 0; round < crashRounds; round++) {
      const [build, other] = [new CrashBuild(sandbox, `round-${round}`), new CrashBuild(sandbox, `round-${round}`)];
      const victim = pick<Victim>(random, ["nats", ...heads, ...agents, ...agents]);
      const [delayMs, awayMs] = [random() * buildMs, random() * 1000];
      const name = victim === "nats" ? victim : victim.name;
      t.diagnostic(`round ${round}: ${name} killed after ${Math.round(delayMs)} ms, away for ${Math.round(awayMs)} ms`);
      const builds = [build.outcome(await sandbox.connect(0)), other.outcome(await sandbox.connect(1))];
      await pause(delayMs);
      if (victim === "nats") {
        await sandbox.nats.stop("SIGKILL");
        await pause(awayMs);
        await sandbox.nats.start();
      } else {
        await victim.process.stop("SIGKILL");
        await pause(awayMs);
        if (isAgent(victim)) await sandbox.restartAgent(victim);
        else await sandbox.restartHead(victim);
      }
      const outcomes = await Promise.all(builds);
      for (const [i, one] of [build, other].entries()) {
        // Its own coordinator's end, and that of the agent which was sending to its client, is all that a build need not survive.
        const lostSender = one.sending && /^failed: .*agent \w+ was lost/.test(outcomes[i] ?? "");
        if (victim !== heads[i] && !lostSender) assert.equal(outcomes[i], expected, `build at coordinator ${i}`);
      }
      await sandbox.idle();
      for (const { root } of agents) await assertRepaired(sandbox, root);
      for (const name of other.complete) build.complete.add(name);
      const last = pick(random, [0, 1]);
      assert.equal(await build.run(await sandbox.connect(last)), expected, "other files came out");
    }
    await sandbox.idle();
    await assertPrunable(
      await sandbox.connect(),
      agents.map(({ root }) => root),
    );
  });

  function isAgent(victim: SandboxAgent | SandboxHead): victim is SandboxAgent {
    return "root" in victim;
  }
});
