import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import { parseImageSpec } from "../../../src/core/values/image-reference.ts";
import { MediaType } from "../../../src/core/values/media-type.ts";
import { RegistryClient, type RegistryError, RegistryHosts } from "../../../src/registry/index.ts";
import { noSessions } from "../../helpers/no-sessions.ts";
import { type RunningRegistry, startRegistry } from "./docker-registry.ts";

describe("RegistryClient against a registry process", () => {
  let registry: RunningRegistry;
  let hosts: RegistryHosts;
  let client: RegistryClient;
  const call = { sessions: noSessions, signal: new AbortController().signal };

  before(async () => {
    registry = await startRegistry();
    hosts = new RegistryHosts({ "docker.io": { mirrors: [`${registry.host}`] } });
    client = new RegistryClient({ hosts, logger: silentLogger, backoffMs: 1 });
  });
  after(async () => {
    await hosts[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
  });

  async function pushImage(repository: string, tag: string, layer: Uint8Array) {
    const layerDescriptor = { mediaType: MediaType.ociLayer, digest: sha256(layer), size: layer.length };
    const config = Buffer.from(
      JSON.stringify({
        architecture: "amd64",
        os: "linux",
        rootfs: { type: "layers", diff_ids: [layerDescriptor.digest] },
      }),
    );
    const configDescriptor = { mediaType: MediaType.ociConfig, digest: sha256(config), size: config.length };
    const layerOutcome = await client.pushBlob(repository, layerDescriptor, () => slices(layer), call);
    await client.pushBlob(repository, configDescriptor, () => slices(config), call);
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MediaType.ociManifest,
        config: configDescriptor,
        layers: [layerDescriptor],
      }),
    );
    const pushed = await client.pushManifest(
      repository,
      { mediaType: MediaType.ociManifest, bytes: manifest },
      { ...call, tag },
    );
    return { pushed, manifest, layerDescriptor, layerOutcome };
  }

  it("pushes an image and reads it back", async () => {
    const layer = randomBytes(3_000_000);
    const repository = `${registry.host}/team/app`;
    const image = await pushImage(repository, "v1", layer);
    assert.equal(image.layerOutcome, "pushed");
    const resolved = await client.resolve(parseImageSpec(`${repository}:v1`), call);
    assert.deepEqual(resolved, image.pushed);
    assert.deepEqual(Buffer.from(await client.fetchJson(repository, resolved, call)), image.manifest);
    assert.equal(sha256(await collect(client.blob(repository, image.layerDescriptor, call))), sha256(layer));
    const tail = await collect(client.blob(repository, image.layerDescriptor, { ...call, offset: 2_999_000 }));
    assert.deepEqual(tail, layer.subarray(2_999_000));
  });

  it("skips a blob the repository has, and mounts one from a sibling", async () => {
    const layer = randomBytes(10_000);
    const first = await pushImage(`${registry.host}/team/first`, "v1", layer);
    const never = () => {
      throw new Error("the blob was read");
    };
    const again = await client.pushBlob(`${registry.host}/team/first`, first.layerDescriptor, never, call);
    assert.equal(again, "exists");
    const mounted = await client.pushBlob(`${registry.host}/team/second`, first.layerDescriptor, never, {
      ...call,
      mountFrom: ["team/first"],
    });
    assert.equal(mounted, "mounted");
    assert.deepEqual(await collect(client.blob(`${registry.host}/team/second`, first.layerDescriptor, call)), layer);
  });

  it("pushes an empty blob", async () => {
    const empty = { mediaType: MediaType.ociLayer, digest: sha256(""), size: 0 };
    assert.equal(
      await client.pushBlob(`${registry.host}/team/empty`, empty, () => slices(new Uint8Array()), call),
      "pushed",
    );
    assert.equal((await collect(client.blob(`${registry.host}/team/empty`, empty, call))).length, 0);
  });

  it("refuses to push bytes that are not as many as said", async () => {
    const bytes = randomBytes(100);
    const descriptor = { mediaType: MediaType.ociLayer, digest: sha256(bytes), size: 120 };
    await assert.rejects(
      client.pushBlob(`${registry.host}/team/short`, descriptor, () => slices(bytes), call),
      /has 100 bytes, expected 120/,
    );
  });

  it("reports what the registry says about a wrong digest", async () => {
    const bytes = randomBytes(100);
    const descriptor = { mediaType: MediaType.ociLayer, digest: sha256("other"), size: 100 };
    await assert.rejects(
      client.pushBlob(`${registry.host}/team/wrong`, descriptor, () => slices(bytes), call),
      (error: RegistryError) => error.status === 400 && /digest invalid/.test(error.message),
    );
  });

  it("names what is missing", async () => {
    const repository = `${registry.host}/team/app`;
    await assert.rejects(client.resolve(parseImageSpec(`${repository}:none`), call), {
      message: `${repository}:none: not found`,
    });
    const absent = sha256("absent");
    await assert.rejects(client.resolve(parseImageSpec(`${repository}@${absent}`), call), {
      message: `${repository}@${absent}: not found`,
    });
    await assert.rejects(
      collect(client.blob(repository, { mediaType: MediaType.ociLayer, digest: absent, size: 1 }, call)),
      {
        message: `could not fetch content descriptor ${absent} (${MediaType.ociLayer}) from remote: not found`,
      },
    );
    await assert.rejects(client.stat(repository, absent, call), {
      message: `unexpected HEAD status code http://${registry.host}/v2/team/app/blobs/${absent}: 404 Not Found`,
    });
  });

  it("asks a mirror in the name of the registry it mirrors", async () => {
    const image = await pushImage(`${registry.host}/library/base`, "1", randomBytes(500));
    const resolved = await client.resolve(parseImageSpec("docker.io/library/base:1"), call);
    assert.equal(resolved.digest, image.pushed.digest);
    const stat = await client.stat("docker.io/library/base", image.layerDescriptor.digest, call);
    assert.equal(stat.size, 500);
  });

  it("reports an upload's progress and opens a fresh stream per try", async () => {
    const bytes = randomBytes(200_000);
    const descriptor = { mediaType: MediaType.ociLayer, digest: sha256(bytes), size: bytes.length };
    const sent: number[] = [];
    await client.pushBlob(`${registry.host}/team/progress`, descriptor, () => slices(bytes), {
      ...call,
      onBytes: (count) => sent.push(count),
    });
    assert.equal(sent.at(-1), bytes.length);
  });
});

async function* slices(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}

async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}
