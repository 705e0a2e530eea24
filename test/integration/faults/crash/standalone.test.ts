import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pick, randomFrom } from "../../../helpers/random.ts";
import { Sandbox, type SandboxHead } from "../../../helpers/sandbox/index.ts";
import { assertPrunable, assertRepaired, pause, prune } from "./after-start.ts";
import { CrashBuild } from "./crash-build.ts";
import { crashRounds, crashSeed, crashTimeoutMs } from "./settings.ts";
import { draftsOfLocalSources } from "./store-faults.ts";

describe("a standalone daemon killed at any moment", () => {
  let sandbox: Sandbox;
  let head: SandboxHead;
  let root: string;

  before(async () => {
    sandbox = await Sandbox.start({ standalone: true });
    [head] = sandbox.heads as [SandboxHead];
    root = join(sandbox.root, head.name);
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  it(`has all it had when it starts again: seed ${crashSeed}`, { timeout: crashTimeoutMs }, async (t) => {
    const random = randomFrom(crashSeed);
    const startedAt = performance.now();
    const expected = await new CrashBuild(sandbox, "undisturbed").run(await sandbox.connect());
    const buildMs = performance.now() - startedAt;
    for (let round = 0; round < crashRounds; round++) {
      const build = new CrashBuild(sandbox, `round-${round}`);
      const during = pick(random, ["build", "build", "build", "start", "prune"]);
      const delayMs = random() * buildMs;
      t.diagnostic(`round ${round}: kill ${Math.round(delayMs)} ms after the build began, then in: ${during}`);
      const running = build.outcome(await sandbox.connect());
      await pause(delayMs);
      if (during === "prune") {
        // What it takes away need not be there afterwards.
        prune(await sandbox.connect()).catch(() => {});
        await pause(random() * 200);
      }
      await head.process.stop("SIGKILL");
      await running;
      if (during === "prune") build.complete.clear();
      if (during === "start") {
        const starting = sandbox.restartHead(head).catch(() => {});
        await pause(random() * 1000);
        await head.process.stop("SIGKILL");
        await starting;
      }
      await sandbox.restartHead(head);
      assert.deepEqual(sandbox.containers(), [], "steps of the killed daemon still run");
      await assertRepaired(sandbox, root);
      assert.equal(await build.run(await sandbox.connect()), expected, "other files came out");
      assert.deepEqual(await draftsOfLocalSources(root), []);
      await sandbox.idle();
    }
    await assertPrunable(await sandbox.connect(), [root]);
  });
});
