import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { GetSecretRequest, GetSecretResponse } from "../../../src/api/gen/secrets.ts";
import { BytesMessage } from "../../../src/api/gen/upload.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import type { SessionGroup } from "../../../src/core/seams/session-caller.ts";
import { type Digest, digestHex, sha256 } from "../../../src/core/values/digest.ts";
import { FakeSession, FakeSessionGroup } from "../../helpers/fake-session.ts";
import { openSourceSandbox, type SourceSandbox } from "./source-sandbox.ts";

describe("HttpSource", () => {
  let box: SourceSandbox;
  let server: ReturnType<typeof createServer>;
  let base: string;
  let requests: IncomingMessage[];
  let respond: (request: IncomingMessage, response: ServerResponse) => void;

  beforeEach(async () => {
    box = await openSourceSandbox();
    requests = [];
    server = createServer((request, response) => {
      requests.push(request);
      respond(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    base = `http://127.0.0.1:${address.port}`;
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await box[Symbol.asyncDispose]();
  });

  async function fetchFile(identifier: string, attrs: Record<string, string> = {}, sessions?: SessionGroup) {
    const context = box.context(sessions);
    const resolved = await box.http.resolve({ identifier, attrs }, context);
    const { outputs } = await box.http.fetch({ identifier, attrs }, resolved, context);
    const directory = box.snapshotter.layerPath(outputs[0]?.layers[0] ?? assert.fail());
    const [name = ""] = readdirSync(directory);
    const path = join(directory, name);
    return { resolved, name, text: readFileSync(path, "utf8"), stat: statSync(path) };
  }

  it("tells the digest of a file with something after it", async () => {
    respond = (_request, response) => response.end("file");
    const suffix = Buffer.from(" and more");
    for (const [algorithm, attrs, downloads] of [
      ["sha512", {}, 1],
      // The second time the file is here.
      ["sha256", { "http.checksum": sha256("file") }, 0],
      ["sha384", { "http.checksum": sha256("other") }, 1],
    ] as const) {
      requests = [];
      const source = { identifier: `${base}/file`, attrs };
      const resolved = box.http.resolve(source, box.context(), { checksum: { algorithm, suffix } });
      if (algorithm === "sha384") await assert.rejects(resolved, /digest mismatch for http.*\/file: sha256:/);
      else {
        const expected = createHash(algorithm).update("file and more").digest("hex");
        assert.equal((await resolved).details["checksum"], `${algorithm}:${expected}`);
      }
      assert.equal(requests.length, downloads);
    }
  });

  it("downloads once, and keeps name and time", async () => {
    respond = (_request, response) => {
      response.writeHead(200, { "last-modified": "Wed, 21 Oct 2015 07:28:00 GMT" });
      response.end("mod\n");
    };
    const file = await fetchFile(`${base}/f/mod.txt?x=1`, { "http.perm": "0640", "http.uid": "5", "http.gid": "6" });
    assert.deepEqual([file.name, file.text], ["mod.txt", "mod\n"]);
    assert.equal(file.stat.mtime.toISOString(), "2015-10-21T07:28:00.000Z");
    assert.deepEqual([file.stat.mode & 0o7777, file.stat.uid, file.stat.gid], [0o640, 5, 6]);
    assert.equal(requests.length, 1);
    const key = `{"Filename":"mod.txt","Perm":416,"UID":5,"GID":6,"Checksum":"${sha256("mod\n")}","LastModTime":"Wed, 21 Oct 2015 07:28:00 GMT"}`;
    assert.equal(file.resolved.cacheKey, sha256(key));
    assert.equal(file.resolved.pin, sha256("mod\n"));
  });

  it("asks for nothing new while the ETag stays", async () => {
    let body = "v1";
    respond = (request, response) => {
      response.writeHead(200, { etag: `W/"${body}"` });
      response.end(request.method === "HEAD" ? undefined : body);
    };
    const first = await fetchFile(`${base}/f`);
    const second = await fetchFile(`${base}/f`);
    assert.deepEqual([second.text, second.resolved], ["v1", first.resolved]);
    assert.deepEqual(
      requests.map(({ method }) => method),
      ["GET", "HEAD"],
    );
    assert.equal(requests[1]?.headers["if-none-match"], '"v1"');
    body = "v2";
    const third = await fetchFile(`${base}/f`);
    assert.equal(third.text, "v2");
    assert.notEqual(third.resolved.cacheKey, first.resolved.cacheKey);
  });

  it("forgets answers whose content is gone, and no others", async () => {
    respond = (request, response) => {
      response.writeHead(200, { etag: '"v1"' });
      response.end(request.method === "HEAD" ? undefined : request.url);
    };
    const { resolved } = await fetchFile(`${base}/gone`);
    await fetchFile(`${base}/kept`);
    const remembered = async () => {
      let count = 0;
      using watch = box.validators.watch("", ({ value }) => void (value !== undefined && count++));
      await watch.ready;
      return count;
    };
    assert.equal(await remembered(), 2);
    await box.content.delete(resolved.pin as Digest);
    await box.http.forgetGone();
    assert.equal(await remembered(), 1);
    requests = [];
    await fetchFile(`${base}/kept`);
    assert.deepEqual(
      requests.map(({ method }) => method),
      ["HEAD"],
    );
  });

  it("downloads anew what was damaged on the disk meanwhile", async () => {
    respond = (request, response) => {
      response.writeHead(200, { etag: '"v1"' });
      response.end(request.method === "HEAD" ? undefined : "good");
    };
    await fetchFile(`${base}/f`);
    const stored = join(box.root, "content/blobs/sha256", digestHex(sha256("good")));
    writeFileSync(stored, "goof");
    assert.equal((await fetchFile(`${base}/f`)).text, "good");
    assert.ok(!existsSync(stored));
  });

  it("asks for gzip, in HEAD as in GET, and keeps the plain file", async () => {
    respond = (request, response) => {
      response.writeHead(200, { etag: '"z"', "content-encoding": "gzip" });
      response.end(request.method === "HEAD" ? undefined : gzipSync("plain"));
    };
    const first = await fetchFile(`${base}/f`);
    assert.deepEqual([first.text, first.resolved.pin], ["plain", sha256("plain")]);
    assert.deepEqual((await fetchFile(`${base}/f`)).resolved, first.resolved);
    assert.deepEqual(
      requests.map(({ method, headers }) => [method, headers["accept-encoding"]]),
      [
        ["GET", "gzip"],
        ["HEAD", "gzip"],
      ],
    );
  });

  it("says so when a gzip answer is no gzip", async () => {
    respond = (_request, response) => void response.writeHead(200, { "content-encoding": "gzip" }).end("plain");
    await assert.rejects(fetchFile(`${base}/f`), /incorrect header check/);
  });

  it("asks nobody for what is known, and applies its own attributes to it", async () => {
    respond = (_request, response) => {
      response.writeHead(200, { "last-modified": "Wed, 21 Oct 2015 07:28:00 GMT" }).end("x");
    };
    const identifier = `${base}/f`;
    const known = await box.http.resolve({ identifier, attrs: {} }, box.context());
    assert.deepEqual(await box.http.resolve({ identifier, attrs: {} }, box.context(), { known }), known);
    const named = { identifier, attrs: { "http.filename": "g" } };
    const renamed = await box.http.resolve(named, box.context(), { known });
    assert.deepEqual([renamed.pin, renamed.details["filename"]], [known.pin, "g"]);
    assert.notEqual(renamed.cacheKey, known.cacheKey);
    assert.equal(requests.length, 1);
  });

  it("takes a 304 without an ETag to mean the only one it asked about", async () => {
    respond = (request, response) => {
      if (request.headers["if-none-match"] !== undefined) {
        return void response.writeHead(request.method === "HEAD" ? 405 : 304).end();
      }
      response.writeHead(200, { etag: '"e"' }).end("x");
    };
    await fetchFile(`${base}/f`);
    assert.equal((await fetchFile(`${base}/f`)).text, "x");
    assert.deepEqual(
      requests.map(({ method }) => method),
      ["GET", "HEAD", "GET"],
    );
  });

  it("asks for nothing before the fetch when the checksum is given, and checks it", async () => {
    respond = (_request, response) => void response.end("x");
    const identifier = `${base}/f`;
    const pinned = await box.http.resolve({ identifier, attrs: { "http.checksum": sha256("y") } }, box.context());
    assert.equal(requests.length, 0);
    assert.equal(pinned.pin, sha256("y"));
    await assert.rejects(fetchFile(identifier, { "http.checksum": sha256("y") }), {
      message: `digest mismatch ${sha256("x")}: ${sha256("y")}`,
    });
    assert.deepEqual([...box.snapshotter.list()], []);
    assert.equal((await fetchFile(identifier, { "http.checksum": sha256("x") })).text, "x");
  });

  for (const [disposition, name] of [
    ['attachment; filename="served name.bin"', "served name.bin"],
    ['attachment; filename="../../evil"', "evil"],
    ["attachment; filename*=UTF-8''na%C3%AFve.txt; filename=x", "naïve.txt"],
    ['attachment; filename="dir/"', "f"],
    ["inline", "f"],
  ] as const) {
    it(`names the file ${name} after ${disposition}`, async () => {
      respond = (_request, response) => void response.writeHead(200, { "content-disposition": disposition }).end("x");
      assert.equal((await fetchFile(`${base}/f`)).name, name);
    });
  }

  it("does not carry Authorization to another host", async () => {
    const other = createServer((request, response) => void response.end(request.headers.authorization ?? "none"));
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const address = other.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    respond = (request, response) => {
      assert.equal(request.headers.authorization, "Bearer t0k");
      response.writeHead(302, { location: `http://127.0.0.1:${address.port}/x` }).end();
    };
    const session = new FakeSession("s1", {
      "/moby.buildkit.secrets.v1.Secrets/GetSecret": async function* (messages) {
        for await (const message of messages) {
          if (GetSecretRequest.decode(message).ID !== "HTTP_AUTH_TOKEN_127.0.0.1") {
            throw new BuildError(Code.NotFound, "not found");
          }
          yield GetSecretResponse.encode({ data: Buffer.from("t0k") }).finish();
        }
      },
    });
    try {
      assert.equal((await fetchFile(`${base}/f`, {}, new FakeSessionGroup(session))).text, "none");
    } finally {
      other.closeAllConnections();
      await new Promise((resolve) => other.close(resolve));
    }
  });

  it("needs the secret it was told to use", async () => {
    respond = (_request, response) => void response.end("x");
    const sessions = new FakeSessionGroup(new FakeSession("s1", {}));
    await assert.rejects(fetchFile(`${base}/f`, { "http.authheadersecret": "tok" }, sessions), {
      message: "failed to retrieve HTTP auth secret tok: secret tok: not found",
    });
  });

  it("reads what a client uploads, once", async () => {
    let pulls = 0;
    const session = new FakeSession("s1", {
      "/moby.upload.v1.Upload/Pull": async function* (_requests, metadata) {
        pulls++;
        assert.deepEqual(metadata, { urlpath: ["/abc"], urlhost: ["buildkit-session"] });
        for (const part of ["one ", "two"]) yield BytesMessage.encode({ data: Buffer.from(part) }).finish();
      },
    });
    const deaf = new FakeSession("s0", {});
    const file = await fetchFile(
      "http://buildkit-session/abc",
      { "http.filename": "context" },
      new FakeSessionGroup(deaf, session),
    );
    assert.deepEqual([file.name, file.text, pulls], ["context", "one two", 1]);
  });

  it("keeps nothing of a download that breaks off", async () => {
    respond = (_request, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("half", () => response.destroy());
    };
    await assert.rejects(fetchFile(`${base}/f`), /^BuildError: Get "http:\/\/127\.0\.0\.1:\d+\/f": /);
    assert.deepEqual([...box.snapshotter.list()], []);
  });

  it("gives up on redirects without end", async () => {
    respond = (_request, response) => void response.writeHead(302, { location: "/again" }).end();
    await assert.rejects(fetchFile(`${base}/f`), { message: `Get "${base}/again": stopped after 10 redirects` });
    respond = (_request, response) => void response.writeHead(302, { location: "file:///etc/passwd" }).end();
    await assert.rejects(fetchFile(`${base}/f`), {
      message: 'Get "file:///etc/passwd": unsupported protocol scheme "file"',
    });
  });

  it("takes a file with the right signature only", async () => {
    const fixture = (name: string) =>
      readFileSync(new URL(`../../fixtures/signatures/${name}`, import.meta.url), "utf8");
    let text = fixture("content.txt");
    respond = (_request, response) => response.end(text);
    const signed = (key: string) =>
      fetchFile(`${base}/f`, {
        "http.sig.pubkey": fixture(`${key}.pub.asc`),
        "http.sig.signature": fixture("expired.sig.asc"),
      });
    assert.equal((await signed("expired")).text, text);
    await assert.rejects(signed("rsa"), /^BuildError: failed to verify pgp signature: signature by .*unknown entity$/);
    text = "other";
    await assert.rejects(signed("expired"), /failed to verify pgp signature: .*verification failure/);
  });

  it("checks attributes before it asks", async () => {
    respond = (_request, response) => void response.end("x");
    const attrs = (more: Record<string, string>) => fetchFile(`${base}/f`, more);
    await assert.rejects(attrs({ "http.perm": "x" }), { message: 'strconv.ParseInt: parsing "x": invalid syntax' });
    await assert.rejects(attrs({ "http.sig.pubkey": "k" }), {
      message: "http signature verification requires both pubkey and signature",
    });
    assert.equal(requests.length, 0);
  });
});
