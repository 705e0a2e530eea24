import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { dockerfileRequest } from "../../../src/cli/build/dockerfile-request.ts";
import { StdinContext } from "../../../src/cli/build/stdin-context.ts";

const noFlags = { tag: [], push: false, buildArg: [], platform: [], label: [] };

describe("StdinContext", () => {
  it("makes a Dockerfile of text, with an empty context, for as long as it is needed", async () => {
    let directory = "";
    {
      await using context = await StdinContext.read(Readable.from([Buffer.from("FROM scratch\n")]));
      const request = await dockerfileRequest("-", noFlags, context, {});
      directory = request.localDirectories.get("dockerfile") ?? "";
      assert.equal(await readFile(join(directory, "Dockerfile"), "utf8"), "FROM scratch\n");
      assert.deepEqual(await readdir(request.localDirectories.get("context") ?? ""), []);
      assert.deepEqual(request.frontendOptions, { filename: "Dockerfile" });
    }
    assert.equal(existsSync(directory), false);
  });

  it("offers an archive for the daemon to fetch", async () => {
    const tar = Buffer.alloc(512);
    tar.write("ustar", 257);
    for (const archive of [tar, gzipSync("x")]) {
      await using context = await StdinContext.read(Readable.from([archive]));
      const request = await dockerfileRequest("-", { ...noFlags, file: "sub/Dockerfile" }, context, {});
      assert.match(request.frontendOptions["context"] ?? "", /^http:\/\/buildkit-session\/[0-9a-f]{32}$/);
      assert.equal(request.frontendOptions["filename"], "sub/Dockerfile");
      assert.equal(request.localDirectories.size, 0);
      assert.equal(context.services.length, 1);
    }
  });
});
