import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { sha256 } from "../../../src/core/values/digest.ts";
import { parseImageSpec } from "../../../src/core/values/image-reference.ts";
import { type RegistryConfig, RegistryHosts } from "../../../src/registry/index.ts";
import { fakeRegistry, reply } from "./fake-registry.ts";
import { callFor, testClient } from "./registry-setup.ts";

const manifest = Buffer.from("{}");
const answer = { "docker-content-digest": sha256(manifest) };

describe("RegistryHosts", () => {
  async function endpointsOf(name: string, config: Record<string, RegistryConfig> = {}, insecure = false) {
    await using hosts = new RegistryHosts(config);
    const found = await hosts.endpoints(name, insecure);
    return found.map(({ scheme, host, path, canPush, httpFallback }) => ({
      scheme,
      host,
      path,
      canPush,
      httpFallback,
    }));
  }
  const plain = { path: "/v2", canPush: true, httpFallback: false };

  it("knows where Docker Hub really is", async () => {
    assert.deepEqual(await endpointsOf("docker.io"), [{ ...plain, scheme: "https", host: "registry-1.docker.io" }]);
  });

  it("speaks plain HTTP to this machine only, unless told", async () => {
    for (const host of ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"]) {
      assert.deepEqual(await endpointsOf(host), [{ ...plain, scheme: "http", host }]);
    }
    assert.deepEqual(await endpointsOf("10.0.0.1:5000"), [{ ...plain, scheme: "https", host: "10.0.0.1:5000" }]);
    assert.deepEqual(await endpointsOf("reg.example", { "reg.example": { http: true } }), [
      { ...plain, scheme: "http", host: "reg.example" },
    ]);
    assert.deepEqual(await endpointsOf("localhost:5000", { "localhost:5000": { http: false } }), [
      { ...plain, scheme: "https", host: "localhost:5000" },
    ]);
  });

  it("puts mirrors first, with their own settings and path", async () => {
    const config = {
      "docker.io": { mirrors: ["https://mirror.example/proxy/", "10.1.1.1:5000"] },
      "10.1.1.1:5000": { http: true },
    };
    assert.deepEqual(await endpointsOf("docker.io", config), [
      { scheme: "https", host: "mirror.example", path: "/v2/proxy", canPush: false, httpFallback: false },
      { scheme: "http", host: "10.1.1.1:5000", path: "/v2", canPush: false, httpFallback: false },
      { ...plain, scheme: "https", host: "registry-1.docker.io" },
    ]);
  });

  it("leaves mirrors out of an insecure push", async () => {
    const config = { "reg.example": { mirrors: ["mirror.example"] } };
    assert.deepEqual(await endpointsOf("reg.example", config, true), [
      { scheme: "https", host: "reg.example", path: "/v2", canPush: true, httpFallback: true },
    ]);
  });

  it("falls back to plain HTTP where TLS is not spoken, when insecure", async () => {
    await using server = await fakeRegistry((_request, response) => reply(response, 200, answer, manifest));
    await using setup = testClient();
    const found = await setup.client.resolve(parseImageSpec(`${server.host}/app:1`), { ...callFor(), insecure: true });
    assert.equal(found.digest, sha256(manifest));
  });
});

describe("RegistryHosts TLS", () => {
  let directory: string;
  let server: ReturnType<typeof createServer>;
  let host: string;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "registry-tls-"));
    const args = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost";
    execFileSync(
      "openssl",
      [...args.split(" "), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.crt"],
      { cwd: directory, stdio: "ignore" },
    );
    const key = readFileSync(join(directory, "key.pem"));
    const cert = readFileSync(join(directory, "cert.crt"));
    server = createServer({ key, cert }, (request, response) => {
      request.resume();
      reply(response, 200, answer, manifest);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    host = `127.0.0.1:${address.port}`;
  });
  after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  });

  async function resolve(config: RegistryConfig) {
    await using setup = testClient({ [host]: { http: false, ...config } });
    return setup.client.resolve(parseImageSpec(`${host}/app:1`), callFor());
  }

  it("refuses a certificate nobody vouches for", async () => {
    await assert.rejects(resolve({}), /self-signed certificate/);
  });

  it("trusts a configured authority", async () => {
    assert.equal((await resolve({ ca: [join(directory, "cert.crt")] })).digest, sha256(manifest));
    assert.equal((await resolve({ tlsconfigdir: [directory, join(directory, "absent")] })).digest, sha256(manifest));
  });

  it("takes any certificate when insecure", async () => {
    assert.equal((await resolve({ insecure: true })).digest, sha256(manifest));
  });
});
