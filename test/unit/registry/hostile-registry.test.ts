import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import { parseImageSpec } from "../../../src/core/values/image-reference.ts";
import { MediaType } from "../../../src/core/values/media-type.ts";
import { RegistryError } from "../../../src/registry/index.ts";
import { type FakeRegistry, fakeRegistry, reply } from "./fake-registry.ts";
import { callFor, collect, testClient } from "./registry-setup.ts";

const layer = randomBytes(300_000);
const descriptor = { mediaType: MediaType.ociLayerGzip, digest: sha256(layer), size: layer.length };

describe("RegistryClient with a registry that misbehaves", () => {
  it("resumes a blob where the connection broke", async () => {
    let cuts = 0;
    await using server = await fakeRegistry((request, response) => {
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
      const status = from === 0 ? 200 : 206;
      const range = from === 0 ? {} : { "content-range": `bytes ${from}-${layer.length - 1}/${layer.length}` };
      response.writeHead(status, { "content-length": layer.length - from, ...range });
      if (cuts++ < 2) response.write(layer.subarray(from, from + 100_000), () => response.destroy());
      else response.end(layer.subarray(from));
    });
    await using setup = testClient();
    const got = await collect(setup.client.blob(`${server.host}/app`, descriptor, callFor()));
    assert.equal(sha256(got), descriptor.digest);
    assert.equal(server.requests.length, 3);
  });

  it("skips what it has when a server ignores the range", async () => {
    let first = true;
    await using server = await fakeRegistry((_request, response) => {
      response.writeHead(200, { "content-length": layer.length });
      if (first) response.write(layer.subarray(0, 70_000), () => response.destroy());
      else response.end(layer);
      first = false;
    });
    await using setup = testClient();
    const got = await collect(setup.client.blob(`${server.host}/app`, descriptor, callFor()));
    assert.equal(sha256(got), descriptor.digest);
  });

  it("gives up on a blob that is cut again and again without progress", async () => {
    await using server = await fakeRegistry((_request, response) => {
      response.writeHead(200, { "content-length": layer.length });
      response.flushHeaders();
      response.destroy();
    });
    await using setup = testClient();
    await assert.rejects(collect(setup.client.blob(`${server.host}/app`, descriptor, callFor())), RegistryError);
    assert.ok(server.requests.length < 30);
  });

  it("refuses bytes that do not hash to the digest", async () => {
    const other = Buffer.from(layer);
    other[5] = (other[5] ?? 0) ^ 1;
    await using server = await fakeRegistry((_request, response) => reply(response, 200, {}, other));
    await using setup = testClient();
    await assert.rejects(
      collect(setup.client.blob(`${server.host}/app`, descriptor, callFor())),
      (error: BuildError) => error.code === Code.DataLoss && error.message.includes(server.host),
    );
  });

  it("stops at the first byte too many", async () => {
    await using server = await fakeRegistry((_request, response) => {
      response.writeHead(200);
      response.end(Buffer.concat([layer, Buffer.from("x")]));
    });
    await using setup = testClient();
    await assert.rejects(
      collect(setup.client.blob(`${server.host}/app`, descriptor, callFor())),
      (error: BuildError) => error.code === Code.DataLoss && /sent more than the 300000 bytes/.test(error.message),
    );
  });

  it("does not ask a mirror again for a blob it lied about", async () => {
    await using mirror = await fakeRegistry((_request, response) =>
      reply(response, 200, {}, Buffer.alloc(layer.length)),
    );
    await using origin = await fakeRegistry((_request, response) => reply(response, 200, {}, layer));
    await using setup = testClient({ [origin.host]: { mirrors: [mirror.host] } });
    const read = () => collect(setup.client.blob(`${origin.host}/app`, descriptor, callFor()));
    await assert.rejects(read(), { code: Code.DataLoss });
    assert.equal(sha256(await read()), descriptor.digest);
    assert.equal(mirror.requests.length, 1);
  });

  it("goes on to the host when a mirror fails, without waiting for the mirror", async () => {
    await using mirror = await fakeRegistry((_request, response) => reply(response, 503));
    await using origin = await fakeRegistry((_request, response) => reply(response, 200, {}, layer));
    await using setup = testClient({ [origin.host]: { mirrors: [`${mirror.host}/cache/prefix/`] } });
    await collect(setup.client.blob(`${origin.host}/app`, descriptor, callFor()));
    assert.deepEqual(setup.clock.sleeps, []);
    const path = `/v2/cache/prefix/app/blobs/${descriptor.digest}?ns=${encodeURIComponent(origin.host)}`;
    assert.equal(mirror.requests[0]?.url, path);
    assert.equal(origin.requests[0]?.url, `/v2/app/blobs/${descriptor.digest}`);
  });

  it("waits as long as Retry-After says", async () => {
    let refusals = 2;
    await using server = await fakeRegistry((_request, response) => {
      if (refusals-- > 0) reply(response, 429, { "retry-after": "7" });
      else reply(response, 200, {}, layer);
    });
    await using setup = testClient();
    await collect(setup.client.blob(`${server.host}/app`, descriptor, callFor()));
    assert.deepEqual(setup.clock.sleeps, [7000, 7000]);
  });

  it("does not wait an hour for anybody", async () => {
    await using server = await fakeRegistry((_request, response) =>
      reply(response, 429, { "retry-after": "3600" }, '{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'),
    );
    await using setup = testClient();
    await assert.rejects(collect(setup.client.blob(`${server.host}/app`, descriptor, callFor())), {
      message:
        `unexpected status from GET request to http://${server.host}/v2/app/blobs/${descriptor.digest}: ` +
        "429 Too Many Requests\ntoomanyrequests: slow down",
    });
  });

  it("backs off from a server that keeps failing, then reports host, path and status", async () => {
    await using server = await fakeRegistry((_request, response) => reply(response, 500, {}, "oops"));
    await using setup = testClient();
    await assert.rejects(
      setup.client.resolve(parseImageSpec(`${server.host}/app:1`), callFor()),
      (error: RegistryError) =>
        error.status === 500 && error.host === server.host && error.path === "/v2/app/manifests/1",
    );
    assert.deepEqual(setup.clock.sleeps, [500, 1000, 2000, 4000]);
  });

  it("asks for the words behind a bare 403", async () => {
    await using server = await fakeRegistry((request, response) => {
      const body = '{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}';
      if (request.method === "HEAD") response.writeHead(403).end();
      else reply(response, 403, {}, body);
    });
    await using setup = testClient();
    await assert.rejects(setup.client.resolve(parseImageSpec(`${server.host}/app:1`), callFor()), {
      message: `unexpected status from GET request to http://${server.host}/v2/app/manifests/1: 403 Forbidden\ndenied: requested access to the resource is denied`,
    });
  });

  it("ends a redirect loop", async () => {
    await using server = await fakeRegistry((request, response) => reply(response, 307, { location: request.url }));
    await using setup = testClient();
    await assert.rejects(
      setup.client.resolve(parseImageSpec(`${server.host}/app:1`), callFor()),
      /stopped after 10 redirects/,
    );
    assert.equal(server.requests.length, 11);
  });

  it("refuses a redirect to something that is not HTTP", async () => {
    await using server = await fakeRegistry((_request, response) =>
      reply(response, 302, { location: "file:///etc/passwd" }),
    );
    await using setup = testClient();
    await assert.rejects(
      collect(setup.client.blob(`${server.host}/app`, descriptor, callFor())),
      /invalid redirect location/,
    );
  });

  it("rejects a manifest of absurd size without reading it", async () => {
    await using server = await fakeRegistry((_request, response) => {
      response.writeHead(200, {
        "content-length": "99999999999",
        "content-type": MediaType.ociManifest,
        "docker-content-digest": descriptor.digest,
      });
      response.end();
    });
    await using setup = testClient();
    await assert.rejects(setup.client.resolve(parseImageSpec(`${server.host}/app:1`), callFor()), {
      message: `rejecting 99999999999 byte manifest for ${server.host}/app:1: not found`,
    });
  });

  it("stops reading an endless manifest of unknown size", async () => {
    const chunk = Buffer.alloc(256 * 1024, 32);
    await using server = await fakeRegistry((request, response) => {
      response.writeHead(200, { "content-type": MediaType.ociManifest, "transfer-encoding": "chunked" });
      if (request.method === "HEAD") return void response.end();
      const pump = () => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on("drain", pump);
      pump();
    });
    await using setup = testClient();
    await assert.rejects(
      setup.client.resolve(parseImageSpec(`${server.host}/app:1`), callFor()),
      /rejecting \d+ byte manifest/,
    );
  });

  it("refuses a digest header that is none", async () => {
    await using server = await fakeRegistry((_request, response) => {
      response.writeHead(200, { "content-length": "10", "docker-content-digest": "sha256:zz" });
      response.end();
    });
    await using setup = testClient();
    await assert.rejects(setup.client.resolve(parseImageSpec(`${server.host}/app:1`), callFor()), {
      message: '"sha256:zz" in header not a valid digest: invalid checksum digest format',
    });
  });

  it("hashes the manifest itself when the registry names no digest", async () => {
    const manifest = Buffer.from('{"schemaVersion":2}');
    await using server = await fakeRegistry((_request, response) =>
      reply(response, 200, { "content-type": `${MediaType.ociManifest}; charset=utf-8` }, manifest),
    );
    await using setup = testClient();
    assert.deepEqual(await setup.client.resolve(parseImageSpec(`${server.host}/app:1`), callFor()), {
      mediaType: MediaType.ociManifest,
      digest: sha256(manifest),
      size: manifest.length,
    });
  });

  it("uses GET where HEAD is not allowed", async () => {
    const manifest = Buffer.from('{"schemaVersion":2}');
    await using server = await fakeRegistry((request, response) => {
      if (request.method === "HEAD") return void response.writeHead(405).end();
      reply(
        response,
        200,
        { "content-type": MediaType.ociManifest, "docker-content-digest": sha256(manifest) },
        manifest,
      );
    });
    await using setup = testClient();
    const found = await setup.client.resolve(parseImageSpec(`${server.host}/app:1`), callFor());
    assert.equal(found.digest, sha256(manifest));
  });

  it("says what could not be reached", async () => {
    await using setup = testClient();
    const gone = await fakeRegistry(() => {});
    await gone[Symbol.asyncDispose]();
    await assert.rejects(setup.client.resolve(parseImageSpec(`${gone.host}/app:1`), callFor()), {
      message: `failed to do request: Head "http://${gone.host}/v2/app/manifests/1": dial tcp ${gone.host}: connect: connection refused`,
    });
    assert.deepEqual(setup.clock.sleeps, [250, 500, 1000, 2000]);
  });

  it("waits for a registry that starts again, in the midst of a push too", async () => {
    await using setup = testClient();
    let server: FakeRegistry | undefined;
    const start = (port: number) =>
      fakeRegistry(async (request, response) => {
        if (request.method === "HEAD") return void response.writeHead(404).end();
        if (request.method === "PUT") return reply(response, 201);
        reply(response, 202, { location: "/upload/1" });
        // From the next request on there is nobody.
        await server?.[Symbol.asyncDispose]();
        server = undefined;
      }, port);
    server = await start(0);
    const { host } = server;
    setup.clock.onSleep = async () => {
      if (setup.clock.sleeps.length === 2) server = await start(Number(host.split(":")[1]));
    };
    async function* source() {
      yield layer;
    }
    try {
      assert.equal(await setup.client.pushBlob(`${host}/app`, descriptor, source, callFor()), "pushed");
    } finally {
      await server?.[Symbol.asyncDispose]();
    }
    assert.deepEqual(setup.clock.sleeps, [250, 500]);
  });

  it("ends at once when aborted, with the caller's reason", async () => {
    const abort = new AbortController();
    const reason = new BuildError(Code.Canceled, "context canceled");
    await using server = await fakeRegistry(() => abort.abort(reason));
    await using setup = testClient();
    const call = callFor(undefined, abort.signal);
    await assert.rejects(setup.client.resolve(parseImageSpec(`${server.host}/app:1`), call), reason);
  });

  it("starts an upload again with a fresh stream after a server fault", async () => {
    let puts = 0;
    let opened = 0;
    await using server = await fakeRegistry((request, response) => {
      if (request.method === "HEAD") return void response.writeHead(404).end();
      if (request.method === "POST") return reply(response, 202, { location: `/upload/${puts}?state=s` });
      assert.equal(sha256(request.body), descriptor.digest);
      if (puts++ === 0) return reply(response, 502);
      reply(response, 201);
    });
    await using setup = testClient();
    async function* source() {
      opened++;
      yield layer;
    }
    assert.equal(await setup.client.pushBlob(`${server.host}/app`, descriptor, source, callFor()), "pushed");
    assert.equal(opened, 2);
    const put = server.requests.at(-1);
    assert.equal(put?.url, `/upload/1?state=s&digest=${encodeURIComponent(descriptor.digest)}`);
    assert.equal(put?.headers["content-length"], String(layer.length));
  });

  it("notices a registry that stored something else", async () => {
    await using server = await fakeRegistry((request, response) => {
      if (request.method === "HEAD") return void response.writeHead(404).end();
      reply(response, 201, { "docker-content-digest": sha256("else") });
    });
    await using setup = testClient();
    const manifest = { mediaType: MediaType.ociManifest, bytes: Buffer.from("{}") };
    await assert.rejects(setup.client.pushManifest(`${server.host}/app`, manifest, callFor()), { code: Code.DataLoss });
  });

  it("passes on the failure of the stream it uploads from", async () => {
    await using server = await fakeRegistry((request, response) => {
      if (request.method === "HEAD") return void response.writeHead(404).end();
      reply(response, 202, { location: "/upload/1" });
    });
    await using setup = testClient();
    const lost = new BuildError(Code.Unavailable, "peer is gone", { infrastructure: true });
    async function* source() {
      yield layer.subarray(0, 10);
      throw lost;
    }
    await assert.rejects(setup.client.pushBlob(`${server.host}/app`, descriptor, source, callFor()), lost);
  });

  it("takes a foreign layer from its own URL", async () => {
    await using elsewhere = await fakeRegistry((_request, response) => reply(response, 200, {}, layer));
    await using setup = testClient();
    const foreign = {
      ...descriptor,
      mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
      urls: [`http://${elsewhere.host}/layers/1`],
    };
    const got = await collect(setup.client.blob("registry.invalid/app", foreign, callFor()));
    assert.equal(sha256(got), descriptor.digest);
    assert.equal(elsewhere.requests[0]?.headers.authorization, undefined);
  });

  it("asks the registry for a foreign layer whose URLs are of no use", async () => {
    const gone = await fakeRegistry(() => {});
    await gone[Symbol.asyncDispose]();
    await using broken = await fakeRegistry((_request, response) => reply(response, 500, {}));
    await using server = await fakeRegistry((_request, response) => reply(response, 200, {}, layer));
    await using setup = testClient();
    const foreign = {
      ...descriptor,
      mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
      urls: [`http://${gone.host}/layers/1`, `http://${broken.host}/layers/1`],
    };
    const got = await collect(setup.client.blob(`${server.host}/app`, foreign, callFor()));
    assert.equal(sha256(got), descriptor.digest);
    assert.equal(broken.requests.length, 1);
  });
});
