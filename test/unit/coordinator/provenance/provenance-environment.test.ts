import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { loadProvenanceEnvironment } from "../../../../src/coordinator/provenance/index.ts";

let directory = "";
before(async () => {
  directory = await mkdtemp(join(tmpdir(), "provenance-"));
});
after(() => rm(directory, { recursive: true }));

it("loadProvenanceEnvironment() joins the files of a directory", async () => {
  assert.deepEqual(await loadProvenanceEnvironment(join(directory, "missing")), {});
  await writeFile(join(directory, "1.json"), '{"a": 1, "b": [2]}');
  await writeFile(join(directory, "2.json"), '{"a": {"c": 3}}');
  await writeFile(join(directory, "readme"), "no JSON");
  await mkdir(join(directory, "dir.json"));
  assert.deepEqual(await loadProvenanceEnvironment(directory), { a: { c: 3 }, b: [2] });
  await writeFile(join(directory, "3.json"), '{"platform": 1}');
  await assert.rejects(loadProvenanceEnvironment(directory), {
    message: 'key "platform" is builtin and not allowed to be modified in provenance config',
  });
  await writeFile(join(directory, "3.json"), "[]");
  await assert.rejects(loadProvenanceEnvironment(directory), /failed to parse 3\.json: not an object/);
});
