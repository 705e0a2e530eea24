import assert from "node:assert/strict";
import { test } from "node:test";
import type { ExportContext } from "../../../../src/core/seams/exporter.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import type { TaskBody } from "../../../../src/core/values/task.ts";
import { ArchiveExporter } from "../../../../src/exporters/index.ts";
import { noSessions } from "../../../helpers/no-sessions.ts";

test("ArchiveExporter puts config and manifest into the client's store when tar=false", async () => {
  const asked: { kind: string; body: TaskBody<"export.content"> }[] = [];
  const context = {
    signal: new AbortController().signal,
    progress: { status: () => {}, log: () => {}, warn: () => {} },
    sessions: noSessions,
    sessionId: "s",
    compatibilityVersion: 30,
    layer: () => assert.fail("scratch has no layers"),
    dispatcher: {
      run: async (kind: string, body: TaskBody<"export.content">) => {
        asked.push({ kind, body });
        return { written: 2, skipped: 0, bytes: 1 };
      },
    },
  } as unknown as ExportContext;
  const names = { canonical: (name: string) => name, familiar: (name: string) => name };
  const instance = new ArchiveExporter("oci", names).resolve({ tar: "false" }, 0);
  const { response } = await instance.export({ metadata: new Map() }, context);
  assert.deepEqual(
    asked.map(({ kind, body }) => [kind, body.sessionId, body.storeId, body.blobs.length]),
    [["export.content", "s", "export", 0]],
  );
  const documents = asked[0]?.body.documents ?? [];
  assert.deepEqual(
    documents.map(({ descriptor }) => descriptor.mediaType),
    ["application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.manifest.v1+json"],
  );
  for (const { descriptor, data } of documents) assert.equal(descriptor.digest, sha256(data));
  assert.equal(response["containerimage.digest"], documents[1]?.descriptor.digest);
});
