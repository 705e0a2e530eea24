import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ContentStores } from "../../../src/cli/build/content-stores.ts";

describe("ContentStores.resolveCacheImport()", () => {
  let src: string;
  before(async () => {
    src = await mkdtemp(join(tmpdir(), "buildfleet-stores-"));
  });
  after(() => rm(src, { recursive: true, force: true }));

  async function imported(index: string) {
    await writeFile(join(src, "index.json"), index);
    const warnings: string[] = [];
    const stores = new ContentStores((text) => warnings.push(text));
    const option = await stores.resolveCacheImport({ type: "local", attributes: { src } });
    return { digest: option?.attributes["digest"], warnings };
  }

  it("names the manifest by digest", async () => {
    const manifest = { digest: "sha256:x", annotations: { "org.opencontainers.image.ref.name": "latest" } };
    assert.deepEqual(await imported(JSON.stringify({ manifests: [manifest] })), { digest: "sha256:x", warnings: [] });
    assert.deepEqual(await imported("{}"), { digest: undefined, warnings: [] });
  });

  for (const [what, index] of [
    ["no JSON", '{"manifests":['],
    ["no index", '{"manifests":{}}'],
  ] as const) {
    it(`leaves the cache out, with a warning, when index.json is ${what}`, async () => {
      const { digest, warnings } = await imported(index);
      assert.equal(digest, undefined);
      assert.equal(warnings.length, 1);
      assert.match(warnings[0] ?? "", /^warning: local cache import at .* left out: cannot read .*index\.json: /);
    });
  }
});
