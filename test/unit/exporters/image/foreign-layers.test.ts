import assert from "node:assert/strict";
import { test } from "node:test";
import type { ExportContext } from "../../../../src/core/seams/exporter.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import type { LayerId } from "../../../../src/core/values/layer.ts";
import { parseImageOptions } from "../../../../src/exporters/image/image-options.ts";
import { ImageWriter } from "../../../../src/exporters/image/image-writer.ts";
import { noSessions } from "../../../helpers/no-sessions.ts";

const urls = ["https://example.com/layer"];
const blob = {
  mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
  digest: sha256("layer"),
  size: 5,
  urls,
  annotations: { "containerd.io/uncompressed": sha256("plain") },
};

const context = {
  signal: new AbortController().signal,
  progress: { status: () => {}, log: () => {}, warn: () => {} },
  sessions: noSessions,
  compatibilityVersion: 30,
  layer: () => ({
    id: "l",
    diffId: sha256("plain"),
    blobs: [blob],
    origins: [],
    holders: [],
    sizeBytes: 0,
    createdAt: 1,
  }),
} as unknown as ExportContext;

async function written(attrs: Record<string, string>, oci: boolean) {
  const source = { metadata: new Map(), ref: { layers: ["l" as LayerId] } };
  const { layers } = await new ImageWriter(parseImageOptions(attrs), oci, source, context).write();
  return layers.map(({ descriptor }) => [descriptor.mediaType, descriptor.urls]);
}

test("layers from elsewhere become layers like others unless their urls are preferred", async () => {
  assert.deepEqual(await written({}, false), [["application/vnd.docker.image.rootfs.diff.tar.gzip", undefined]]);
  assert.deepEqual(await written({}, true), [["application/vnd.oci.image.layer.v1.tar+gzip", undefined]]);
  const prefer = { "prefer-nondist-layers": "true" };
  assert.deepEqual(await written(prefer, false), [[blob.mediaType, urls]]);
  assert.deepEqual(await written(prefer, true), [
    ["application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", urls],
  ]);
});
