import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { agentId } from "../../../src/worker-agent/agent-id.ts";
import { collectWarnings } from "../../helpers/warnings.ts";

describe("agentId()", () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "agent-id-"));
  });
  afterEach(() => rm(root, { recursive: true }));

  it("stays over restarts", async () => {
    const { logger, warnings } = collectWarnings();
    const id = await agentId(root, logger);
    assert.match(id, /^[a-z0-9]{25}$/);
    assert.equal(await agentId(root, logger), id);
    assert.deepEqual(warnings, []);
  });

  for (const damaged of ["", "abc", "bf.agent.*", "\0".repeat(26)]) {
    it(`is a new one where the file holds ${JSON.stringify(damaged)}`, async () => {
      const path = join(root, "agent-id");
      await writeFile(path, damaged);
      const { logger, warnings } = collectWarnings();
      const id = await agentId(root, logger);
      assert.match(id, /^[a-z0-9]{25}$/);
      assert.equal(await agentId(root, logger), id);
      assert.deepEqual(
        warnings.map(({ path, movedTo }) => ({ path, movedTo })),
        [{ path, movedTo: `${path}.bak` }],
      );
      assert.equal(await readFile(`${path}.bak`, "utf8"), damaged);
    });
  }
});
