import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { sha256 } from "../../../src/core/values/digest.ts";
import { openSourceSandbox, type SourceSandbox } from "./source-sandbox.ts";

describe("BlobSource", () => {
  const bytes = Buffer.from("bytes of a blob\n");
  const digest = sha256(bytes);
  const registry = createServer((request, response) => {
    const found = request.url === `/v2/name/blobs/${digest}`;
    response.writeHead(found ? 200 : 404, found ? { "content-length": bytes.length } : {});
    response.end(found && request.method === "GET" ? bytes : "");
  });
  let box: SourceSandbox;
  let host: string;

  before(async () => {
    box = await openSourceSandbox();
    await new Promise<void>((resolve) => registry.listen(0, "127.0.0.1", resolve));
    const address = registry.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    host = `127.0.0.1:${address.port}`;
  });
  after(async () => {
    registry.closeAllConnections();
    await new Promise((resolve) => registry.close(resolve));
    await box[Symbol.asyncDispose]();
  });

  async function fetchFile(identifier: string, attrs: Record<string, string>) {
    const context = box.context();
    const resolved = await box.blob.resolve({ identifier, attrs });
    const { outputs } = await box.blob.fetch({ identifier, attrs }, resolved, context);
    return box.snapshotter.layerPath(outputs[0]?.layers[0] ?? assert.fail());
  }

  it("makes a file of a registry's blob, with the name, mode and owner asked for", async () => {
    const directory = await fetchFile(`docker-image+blob://${host}/name@${digest}`, {
      "http.filename": "file",
      "http.perm": "0640",
      "http.uid": "5",
      "http.gid": "6",
    });
    assert.deepEqual(readdirSync(directory), ["file"]);
    const path = join(directory, "file");
    assert.equal(readFileSync(path, "utf8"), bytes.toString());
    const stat = statSync(path);
    assert.deepEqual([stat.mode & 0o7777, stat.uid, stat.gid], [0o640, 5, 6]);
  });

  it("names the file after its digest when no name is given", async () => {
    const directory = await fetchFile(`docker-image+blob://${host}/name@${digest}`, {});
    assert.deepEqual(readdirSync(directory), [digest.slice("sha256:".length)]);
  });

  it("needs a digest, and a blob that is there", async () => {
    await assert.rejects(fetchFile(`docker-image+blob://${host}/name:tag`, {}), /digest/);
    await assert.rejects(fetchFile(`docker-image+blob://${host}/name@${sha256("other")}`, {}), /404 Not Found/);
  });
});
