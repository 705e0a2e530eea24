import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FinalizeExportRequest,
  FindExportersRequest,
  FindExportersResponse,
} from "../../../../src/api/gen/exporter.ts";
import { SessionExporters } from "../../../../src/coordinator/exporting/session-exporters.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { type FakeMethod, FakeSession, FakeSessionGroup } from "../../../helpers/fake-session.ts";

const service = "/moby.exporter.v1.Exporter";
const { signal } = new AbortController();

function exportersOf(methods: Readonly<Record<string, FakeMethod>>): SessionExporters {
  return new SessionExporters(new FakeSessionGroup(new FakeSession("s", methods)), "s");
}

function failing(code: Code, message: string): FakeMethod {
  // biome-ignore lint/correctness/useYield: the client answers nothing
  return async function* () {
    throw new BuildError(code, message);
  };
}

test("SessionExporters.find() shows the client the result and takes the exporters it names", async () => {
  const asked: FindExportersRequest[] = [];
  const exporters = exportersOf({
    [`${service}/FindExporters`]: async function* (requests) {
      for await (const request of requests) asked.push(FindExportersRequest.decode(request));
      yield FindExportersResponse.encode({ exporters: [{ Type: "oci", Attrs: { compression: "zstd" } }] }).finish();
    },
  });
  const found = await exporters.find(new Map([["k", Buffer.from("v")]]), ["ref"], signal);
  assert.deepEqual(found, [{ type: "oci", attrs: { compression: "zstd" } }]);
  assert.deepEqual(
    asked.map(({ metadata, refs }) => [Buffer.from(metadata["k"] ?? []).toString(), refs]),
    [["v", ["ref"]]],
  );
});

test("SessionExporters.finalize() passes on the response, and what the client says against it", async () => {
  const told: string[] = [];
  const exporters = exportersOf({
    [`${service}/FinalizeExport`]: async function* (requests) {
      for await (const request of requests) {
        const { exporterResponse } = FinalizeExportRequest.decode(request);
        told.push(exporterResponse["containerimage.digest"] ?? "");
      }
      yield new Uint8Array(0);
    },
  });
  await exporters.finalize({ "containerimage.digest": "sha256:a" }, signal);
  assert.deepEqual(told, ["sha256:a"]);
  const refusing = exportersOf({ [`${service}/FinalizeExport`]: failing(Code.Unknown, "no thanks") });
  await assert.rejects(refusing.finalize({}, signal), { message: "no thanks" });
});

test("SessionExporters takes a client without opinion for consent", async () => {
  for (const methods of [{}, { [`${service}/FindExporters`]: failing(Code.Unavailable, "no callback") }]) {
    assert.deepEqual(await exportersOf(methods).find(new Map(), [], signal), []);
    await exportersOf(methods).finalize({}, signal);
  }
});
