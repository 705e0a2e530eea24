import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { describe, it } from "node:test";
import {
  CredentialsRequest,
  CredentialsResponse,
  FetchTokenRequest,
  FetchTokenResponse,
  GetTokenAuthorityResponse,
  VerifyTokenAuthorityRequest,
  VerifyTokenAuthorityResponse,
} from "../../../src/api/gen/auth.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import { parseImageSpec } from "../../../src/core/values/image-reference.ts";
import { MediaType } from "../../../src/core/values/media-type.ts";
import { type FakeMethod, FakeSession, FakeSessionGroup } from "../../helpers/fake-session.ts";
import { fakeRegistry, type Respond, reply, type SeenRequest } from "./fake-registry.ts";
import { callFor, testClient } from "./registry-setup.ts";

const service = "/moby.filesync.v1.Auth";
const manifest = Buffer.from('{"schemaVersion":2}');

/** A registry with a token server: lets in whoever brings a token that `grants` gave. */
function tokenRegistry(grants: (request: SeenRequest) => string | undefined, issued: Set<string> = new Set()) {
  const respond: Respond = (request, response) => {
    const host = request.headers.host ?? "";
    if (request.url.startsWith("/token")) {
      const token = grants(request);
      if (token === undefined) return reply(response, 401, {}, '{"errors":[{"code":"UNAUTHORIZED"}]}');
      issued.add(token);
      return reply(response, 200, {}, JSON.stringify({ token, expires_in: 300 }));
    }
    const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? "")?.[1];
    if (token === undefined || !issued.has(token)) {
      const name = /^\/v2\/(.*)\/(?:manifests|blobs)\//.exec(request.url)?.[1] ?? "";
      const challenge = `Bearer realm="http://${host}/token",service="svc",scope="repository:${name}:pull"`;
      const error = token === undefined ? "" : ',error="invalid_token"';
      return reply(response, 401, { "www-authenticate": challenge + error });
    }
    reply(
      response,
      request.method === "PUT" ? 201 : 200,
      { "docker-content-digest": sha256(manifest), "content-type": MediaType.ociManifest },
      manifest,
    );
  };
  return fakeRegistry(respond);
}

/** Methods of a client which signs with one key and fetches tokens itself. */
function authorityClient(
  fetch: (request: FetchTokenRequest) => string,
  calls: string[] = [],
): Record<string, FakeMethod> {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
  return {
    [`${service}/GetTokenAuthority`]: async function* () {
      calls.push("GetTokenAuthority");
      yield GetTokenAuthorityResponse.encode({ PublicKey: raw }).finish();
    },
    [`${service}/VerifyTokenAuthority`]: async function* (requests) {
      calls.push("VerifyTokenAuthority");
      for await (const request of requests) {
        const { Payload } = VerifyTokenAuthorityRequest.decode(request);
        const Signed = Buffer.concat([sign(null, Payload, privateKey), Payload]);
        yield VerifyTokenAuthorityResponse.encode({ Signed }).finish();
      }
    },
    [`${service}/FetchToken`]: async function* (requests) {
      calls.push("FetchToken");
      for await (const request of requests) {
        const Token = fetch(FetchTokenRequest.decode(request));
        yield FetchTokenResponse.encode({ Token, ExpiresIn: 0, IssuedAt: 0 }).finish();
      }
    },
  };
}

function passwordClient(username: string, secret: string, hosts: string[] = []): Record<string, FakeMethod> {
  return {
    [`${service}/Credentials`]: async function* (requests) {
      for await (const request of requests) {
        hosts.push(CredentialsRequest.decode(request).Host);
        yield CredentialsResponse.encode({ Username: username, Secret: secret }).finish();
      }
    },
  };
}

describe("RegistryClient login", () => {
  it("gets an anonymous token when nobody is connected, and keeps it", async () => {
    await using server = await tokenRegistry(() => "anonymous");
    await using setup = testClient();
    const spec = parseImageSpec(`${server.host}/team/app:1`);
    await setup.client.resolve(spec, callFor());
    await setup.client.resolve(spec, callFor());
    const asked = server.requests.filter(({ url }) => url.startsWith("/token"));
    assert.deepEqual(
      asked.map(({ url }) => url),
      [`/token?service=svc&scope=${encodeURIComponent("repository:team/app:pull")}`],
    );
    assert.equal(asked[0]?.headers.authorization, undefined);
  });

  it("fetches a new token when the old one has run out", async () => {
    await using server = await tokenRegistry(() => "anonymous");
    await using setup = testClient();
    const spec = parseImageSpec(`${server.host}/team/app:1`);
    await setup.client.resolve(spec, callFor());
    setup.clock.time += 271_000;
    await setup.client.resolve(spec, callFor());
    assert.equal(server.requests.filter(({ url }) => url.startsWith("/token")).length, 2);
  });

  it("sends a client's password to the token server only", async () => {
    const hosts: string[] = [];
    await using server = await tokenRegistry(({ headers }) =>
      headers.authorization === `Basic ${Buffer.from("ann:pw").toString("base64")}` ? "for-ann" : undefined,
    );
    await using setup = testClient();
    const sessions = new FakeSessionGroup(new FakeSession("s1", passwordClient("ann", "pw", hosts)));
    await setup.client.resolve(parseImageSpec(`${server.host}/app:1`), callFor(sessions));
    assert.deepEqual(hosts, [server.host]);
    const registryRequests = server.requests.filter(({ url }) => url.startsWith("/v2/"));
    assert.deepEqual(
      registryRequests.map(({ headers }) => headers.authorization),
      [undefined, "Bearer for-ann"],
    );
  });

  it("turns an identity token into an access token", async () => {
    const issued = new Set<string>();
    await using server = await tokenRegistry(({ method, body }) => {
      const form = new URLSearchParams(body.toString());
      const good =
        method === "POST" && form.get("grant_type") === "refresh_token" && form.get("refresh_token") === "id";
      return good ? "access" : undefined;
    }, issued);
    await using setup = testClient();
    const sessions = new FakeSessionGroup(new FakeSession("s1", passwordClient("", "id")));
    await setup.client.resolve(parseImageSpec(`${server.host}/app:1`), callFor(sessions));
    assert.deepEqual([...issued], ["access"]);
  });

  it("answers a basic challenge with credentials, and lets nobody in without", async () => {
    const respond: Respond = (request, response) =>
      request.headers.authorization === `Basic ${Buffer.from("ann:pw").toString("base64")}`
        ? reply(response, 200, { "docker-content-digest": sha256(manifest) }, manifest)
        : reply(response, 401, { "www-authenticate": 'Basic realm="r"' });
    await using server = await fakeRegistry(respond);
    await using setup = testClient();
    const spec = parseImageSpec(`${server.host}/app:1`);
    const sessions = new FakeSessionGroup(new FakeSession("s1", passwordClient("ann", "pw")));
    await setup.client.resolve(spec, callFor(sessions));
    await assert.rejects(setup.client.resolve(spec, callFor()), {
      message: `unexpected status from HEAD request to http://${server.host}/v2/app/manifests/1: 401 Unauthorized`,
    });
  });

  it("lets a client with a token authority fetch tokens itself", async () => {
    const issued = new Set(["from-client"]);
    await using server = await tokenRegistry(() => undefined, issued);
    await using setup = testClient();
    const asked: FetchTokenRequest[] = [];
    const client = authorityClient((request) => {
      asked.push(request);
      return "from-client";
    });
    await setup.client.resolve(
      parseImageSpec(`${server.host}/app:1`),
      callFor(new FakeSessionGroup(new FakeSession("s1", client))),
    );
    assert.deepEqual(asked, [
      {
        ClientID: "buildkit-client",
        Host: server.host,
        Realm: `http://${server.host}/token`,
        Service: "svc",
        Scopes: ["repository:app:pull"],
      },
    ]);
    assert.equal(server.requests.filter(({ url }) => url.startsWith("/token")).length, 0);
  });

  it("shares tokens between sessions whose clients sign with the same key, and with no others", async () => {
    const issued = new Set(["shared"]);
    await using server = await tokenRegistry(() => "anonymous", issued);
    await using setup = testClient();
    const calls: string[] = [];
    const same = authorityClient(() => "shared", calls);
    const stranger: string[] = [];
    const other = authorityClient(() => "shared", stranger);
    const spec = parseImageSpec(`${server.host}/app:1`);
    for (const [id, methods] of [
      ["s1", same],
      ["s2", same],
      ["s3", other],
    ] as const) {
      await setup.client.resolve(spec, callFor(new FakeSessionGroup(new FakeSession(id, methods))));
    }
    assert.deepEqual(calls, ["GetTokenAuthority", "FetchToken", "VerifyTokenAuthority"]);
    assert.deepEqual(stranger.slice(0, 3), ["VerifyTokenAuthority", "GetTokenAuthority", "FetchToken"]);
  });

  it("falls back to credentials when a client knows no authorities", async () => {
    await using server = await tokenRegistry(() => "t");
    await using setup = testClient();
    const unavailable: FakeMethod = async function* () {
      yield* [];
      throw new BuildError(Code.Unavailable, "client side tokens disabled");
    };
    const hosts: string[] = [];
    const methods = { [`${service}/GetTokenAuthority`]: unavailable, ...passwordClient("", "", hosts) };
    await setup.client.resolve(
      parseImageSpec(`${server.host}/app:1`),
      callFor(new FakeSessionGroup(new FakeSession("s1", methods))),
    );
    assert.deepEqual(hosts, [server.host]);
  });

  it("says that access was denied when the account lacks the scope", async () => {
    const respond: Respond = (request, response) => {
      const host = request.headers.host ?? "";
      if (request.url.startsWith("/token")) return reply(response, 200, {}, '{"token":"weak"}');
      const challenge = `Bearer realm="http://${host}/token",service="s",scope="repository:app:pull"`;
      const error = request.headers.authorization === undefined ? "" : ',error="insufficient_scope"';
      reply(response, 401, { "www-authenticate": challenge + error });
    };
    await using server = await fakeRegistry(respond);
    await using setup = testClient();
    await assert.rejects(setup.client.resolve(parseImageSpec(`${server.host}/app:1`), callFor()), {
      message:
        "pull access denied, repository does not exist or may require authorization: " +
        "server message: insufficient_scope: authorization failed",
    });
  });

  it("asks for push, and for pull of what it mounts from", async () => {
    const scopesAsked: string[][] = [];
    const respond: Respond = (request, response) => {
      const url = new URL(request.url, `http://${request.headers.host}`);
      if (url.pathname === "/token") {
        scopesAsked.push(url.searchParams.getAll("scope"));
        return reply(response, 200, {}, '{"token":"t"}');
      }
      if (request.headers.authorization !== "Bearer t") {
        return reply(response, 401, { "www-authenticate": `Bearer realm="${url.origin}/token"` });
      }
      if (request.method === "HEAD") return void response.writeHead(404).end();
      reply(response, 201);
    };
    await using server = await fakeRegistry(respond);
    await using setup = testClient();
    const descriptor = { mediaType: MediaType.ociLayer, digest: sha256("x"), size: 1 };
    const never = () => {
      throw new Error("the blob was read");
    };
    const call = { ...callFor(), mountFrom: ["base"] };
    assert.equal(await setup.client.pushBlob(`${server.host}/app`, descriptor, never, call), "mounted");
    assert.deepEqual(scopesAsked, [["repository:app:pull,push"], ["repository:app:pull,push", "repository:base:pull"]]);
  });

  it("never shows credentials to another server", async () => {
    const layer = Buffer.from("layer");
    await using storage = await fakeRegistry((_request, response) => reply(response, 200, {}, layer));
    const respond: Respond = (request, response) => {
      const host = request.headers.host ?? "";
      if (request.url.startsWith("/token")) return reply(response, 200, {}, '{"token":"t"}');
      if (request.headers.authorization !== "Bearer t") {
        return reply(response, 401, { "www-authenticate": `Bearer realm="http://${host}/token"` });
      }
      reply(response, 307, { location: `http://${storage.host}/blob?sig=secret` });
    };
    await using server = await fakeRegistry(respond);
    await using setup = testClient();
    const descriptor = { mediaType: MediaType.ociLayer, digest: sha256(layer), size: layer.length };
    const hash = createHash("sha256");
    for await (const chunk of setup.client.blob(`${server.host}/app`, descriptor, callFor())) hash.update(chunk);
    assert.equal(`sha256:${hash.digest("hex")}`, descriptor.digest);
    assert.equal(storage.requests[0]?.headers.authorization, undefined);
  });

  it("keeps the signature of a storage URL out of errors", async () => {
    await using storage = await fakeRegistry((_request, response) => reply(response, 403));
    await using server = await fakeRegistry((_request, response) =>
      reply(response, 307, { location: `http://${storage.host}/blob?sig=topsecret` }),
    );
    await using setup = testClient();
    await assert.rejects(
      setup.client.resolve(parseImageSpec(`${server.host}/app:1`), callFor()),
      (error: Error) => !error.message.includes("topsecret") && error.message.includes("sig=REDACTED"),
    );
  });

  it("reports a token server that refuses", async () => {
    await using server = await tokenRegistry(() => undefined);
    await using setup = testClient();
    await assert.rejects(
      setup.client.resolve(parseImageSpec(`${server.host}/app:1`), callFor()),
      /^RegistryError: failed to authorize: failed to fetch anonymous token: unexpected status from GET request to .*: 401 Unauthorized/,
    );
  });
});
