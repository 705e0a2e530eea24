import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CacheSharingOpt, Mount, MountType } from "../../../../src/api/gen/ops.ts";
import type { LayerService } from "../../../../src/core/seams/op-runner.ts";
import { systemClock } from "../../../../src/util/system-clock.ts";
import { CacheMountStore, type MountArea, StepMounts } from "../../../../src/worker-agent/ops/exec/index.ts";
import { noSessions } from "../../../helpers/no-sessions.ts";

test("a cache mount is filled while its input is mounted", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "step-mounts-"));
  t.after(() => rmSync(directory, { recursive: true }));
  let mounted = 0;
  const view = async () => {
    mounted++;
    return { path: join(directory, "view"), [Symbol.asyncDispose]: async () => void mounted-- };
  };
  const steps = await StepMounts.prepare(
    {
      mounts: [
        Mount.fromPartial({
          input: 0,
          output: -1,
          dest: "/cache",
          mountType: MountType.CACHE,
          cacheOpt: { ID: "c", sharing: CacheSharingOpt.SHARED },
        }),
      ],
      inputs: [{ layers: ["base"] as never }],
      cwd: "/",
      command: "true",
      layers: { view, ensure: async () => {} } as unknown as LayerService,
      sessions: noSessions,
      area: {} as MountArea,
      cacheMounts: {
        cacheMounts: await CacheMountStore.open({ directory: join(directory, "caches"), clock: systemClock }),
        copier: { fetch: async () => undefined },
        infos: [],
        peers: {},
        progress: { status: () => {}, log: () => {}, warn: () => {} },
        sessionIds: [],
      },
      copyTree: async (_source, target) => {
        await new Promise((resolve) => setImmediate(resolve));
        assert.equal(mounted, 1);
        writeFileSync(target, "");
      },
    },
    new AbortController().signal,
  );
  assert.equal(mounted, 0);
  await steps[Symbol.asyncDispose]();
});
