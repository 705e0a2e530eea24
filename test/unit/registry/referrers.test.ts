import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sha256 } from "../../../src/core/values/digest.ts";
import { MediaType } from "../../../src/core/values/media-type.ts";
import { fakeRegistry, type Respond, reply } from "./fake-registry.ts";
import { callFor, testClient } from "./registry-setup.ts";

const digest = sha256("manifest");
const signature = { mediaType: MediaType.ociManifest, digest: sha256("signature"), size: 1, artifactType: "a/b" };
const list = JSON.stringify({ schemaVersion: 2, manifests: [signature, { digest: "nonsense" }] });

async function referrers(respond: Respond) {
  await using server = await fakeRegistry(respond);
  await using setup = testClient();
  const found = await setup.client.referrers(`${server.host}/app`, digest, callFor());
  return { found, asked: server.requests.map(({ url }) => url) };
}

describe("RegistryClient.referrers()", () => {
  it("asks the registry's own list", async () => {
    const { found, asked } = await referrers((_request, response) => reply(response, 200, {}, list));
    assert.deepEqual(found, [signature]);
    assert.deepEqual(asked, [`/v2/app/referrers/${digest}`]);
  });

  it("falls back to the tag that stands in for one", async () => {
    for (const status of [404, 400]) {
      const { found } = await referrers(({ url }, response) =>
        url === `/v2/app/manifests/${digest.replace(":", "-")}`
          ? reply(response, 200, {}, list)
          : reply(response, status),
      );
      assert.deepEqual(found, [signature]);
    }
  });

  it("finds none where there are none, and says what went wrong otherwise", async () => {
    assert.deepEqual((await referrers((_request, response) => reply(response, 404))).found, []);
    await assert.rejects(
      referrers((_request, response) => reply(response, 403)),
      /403/,
    );
    await assert.rejects(
      referrers((_request, response) => reply(response, 200, {}, "<html>")),
      /failed to decode referrers index/,
    );
    await assert.rejects(
      referrers((_request, response) => reply(response, 200, {}, " ".repeat(5 << 20))),
      /referrers of sha256:\w+ exceed 4393216 bytes/,
    );
  });
});
