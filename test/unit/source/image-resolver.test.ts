import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import type { Descriptor } from "../../../src/core/values/descriptor.ts";
import { type Digest, sha256 } from "../../../src/core/values/digest.ts";
import { formatImageSpec } from "../../../src/core/values/image-reference.ts";
import { pulledLayerId } from "../../../src/core/values/layer-id.ts";
import { MediaType } from "../../../src/core/values/media-type.ts";
import { normalizePlatform } from "../../../src/core/values/platform.ts";
import { type ImageRegistry, ImageResolver, RemoteOriginReader } from "../../../src/source/index.ts";
import { FakeSession, FakeSessionGroup } from "../../helpers/fake-session.ts";
import { noSessions } from "../../helpers/no-sessions.ts";

const amd64 = normalizePlatform({ os: "linux", architecture: "amd64" });
const arm64 = normalizePlatform({ os: "linux", architecture: "arm64" });

/** A registry in memory; `reads` lists what was asked for. */
class MemoryRegistry implements ImageRegistry {
  readonly documents = new Map<string, Uint8Array>();
  readonly tags = new Map<string, Descriptor>();
  readonly refersTo = new Map<string, readonly Descriptor[]>();
  readonly reads: string[] = [];

  add(mediaType: string, document: object): Descriptor {
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = sha256(bytes);
    this.documents.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }

  image(architecture: string, layers: readonly string[], extra: object = {}): Descriptor {
    const diffIds = layers.map((text) => sha256(text));
    const config = this.add(MediaType.ociConfig, {
      architecture,
      os: "linux",
      rootfs: { type: "layers", diff_ids: diffIds },
    });
    return this.add(MediaType.ociManifest, {
      schemaVersion: 2,
      config,
      layers: layers.map((text) => ({
        mediaType: MediaType.ociLayerGzip,
        digest: sha256(`gzip ${text}`),
        size: text.length,
      })),
      ...extra,
    });
  }

  async resolve(spec: Parameters<ImageRegistry["resolve"]>[0]): Promise<Descriptor> {
    const name = formatImageSpec(spec);
    this.reads.push(`resolve ${name}`);
    const found = this.tags.get(name);
    if (found === undefined) throw new BuildError(Code.Unknown, `${name}: not found`);
    return found;
  }

  async referrers(_repository: string, digest: Digest): Promise<readonly Descriptor[]> {
    this.reads.push(`referrers ${digest}`);
    return this.refersTo.get(digest) ?? [];
  }

  async fetchJson(_repository: string, { digest }: Descriptor): Promise<Uint8Array> {
    this.reads.push(digest);
    const found = this.documents.get(digest);
    if (found === undefined) throw new BuildError(Code.Unknown, `${digest} missing`);
    return found;
  }

  blob(): never {
    throw new Error("a layer was read");
  }

  stat(): never {
    throw new Error("not used");
  }
}

function setup() {
  const registry = new MemoryRegistry();
  const resolver = new ImageResolver({ registry });
  const resolve = (identifier: string, attrs: Record<string, string> = {}, platform = amd64) =>
    resolver.resolve({ identifier, attrs }, platform, { sessions: noSessions, signal: new AbortController().signal });
  return { registry, resolver, resolve };
}

describe("ImageResolver", () => {
  it("describes every layer without reading one", async () => {
    const { registry, resolve } = setup();
    const manifest = registry.image("amd64", ["a", "b"]);
    registry.tags.set("docker.io/library/base:1", manifest);
    const image = await resolve("docker-image://docker.io/library/base:1", { "image.recordtype": "frontend" });
    assert.equal(image.digest, manifest.digest);
    const chain = sha256(`${sha256("a")} ${sha256("b")}`);
    assert.deepEqual(image.cacheKeys, [sha256(`{"Digest":"${manifest.digest}","OS":"linux","Arch":"amd64"}`), chain]);
    assert.deepEqual(
      image.ref.layers,
      [sha256("a"), chain].map((id, place) => pulledLayerId(id, image.layers[place]?.blobs[0]?.digest ?? id)),
    );
    const [bottom, top] = image.layers;
    assert.equal(top?.diffId, sha256("b"));
    assert.equal(top?.description, "pulled from docker.io/library/base:1");
    assert.deepEqual([bottom?.recordType, top?.recordType], [undefined, "frontend"]);
    assert.deepEqual(top?.blobs[0], {
      mediaType: MediaType.ociLayerGzip,
      digest: sha256("gzip b"),
      size: 1,
      annotations: {
        "containerd.io/distribution.source.docker.io": "library/base",
        "containerd.io/uncompressed": sha256("b"),
      },
    });
    assert.deepEqual(top?.origins, [
      { kind: "registry", repository: "docker.io/library/base", descriptor: top?.blobs[0] },
    ]);
    assert.deepEqual(
      image.layers.flatMap(({ holders }) => holders),
      [],
    );
  });

  it("chooses from an index, and judges an entry without platform by its config", async () => {
    const { registry, resolve } = setup();
    const index = registry.add(MediaType.ociIndex, {
      manifests: [
        { ...registry.image("arm64", ["arm"]), platform: { os: "linux", architecture: "arm64" } },
        registry.image("amd64", ["amd"]),
      ],
    });
    registry.tags.set("r.io/x:1", index);
    assert.equal((await resolve("docker-image://r.io/x:1", {}, arm64)).layers[0]?.diffId, sha256("arm"));
    assert.equal((await resolve("docker-image://r.io/x:1")).layers[0]?.diffId, sha256("amd"));
    const other = normalizePlatform({ os: "linux", architecture: "s390x" });
    await assert.rejects(resolve("docker-image://r.io/x:1", {}, other), {
      message: `no match for platform in manifest ${index.digest}: not found`,
    });
  });

  it("limits layers, in the keys too", async () => {
    const { registry, resolve } = setup();
    registry.tags.set("r.io/x:1", registry.image("amd64", ["a", "b"]));
    const image = await resolve("docker-image://r.io/x:1", { "image.layerlimit": "1" });
    assert.equal(image.layers.length, 1);
    assert.equal(image.cacheKeys[1], sha256("a"));
    await assert.rejects(resolve("docker-image://r.io/x:1", { "image.layerlimit": "3" }), {
      message: "layer limit 3 is greater than the number of layers in the image 2",
    });
  });

  it("repeats key #0 for an image without layers", async () => {
    const { registry, resolve } = setup();
    registry.tags.set("r.io/x:1", registry.image("amd64", []));
    const image = await resolve("docker-image://r.io/x:1");
    assert.equal(image.cacheKeys[0], image.cacheKeys[1]);
    assert.deepEqual(image.ref.layers, []);
  });

  it("asks nothing again for a digest it has seen in the same repository", async () => {
    const { registry, resolve, resolver } = setup();
    const manifest = registry.image("amd64", ["a"]);
    registry.tags.set(`r.io/x@${manifest.digest}`, manifest);
    registry.tags.set(`r.io/private@${manifest.digest}`, manifest);
    await resolve(`docker-image://r.io/x@${manifest.digest}`);
    registry.reads.length = 0;
    await resolve(`docker-image://r.io/x@${manifest.digest}`);
    assert.deepEqual(registry.reads, []);
    await resolve(`docker-image://r.io/private@${manifest.digest}`);
    assert.deepEqual(registry.reads, [`resolve r.io/private@${manifest.digest}`]);
    resolver.clear();
    await resolve(`docker-image://r.io/x@${manifest.digest}`);
    assert.equal(registry.reads.length, 4);
  });

  it("answers configs without caring for layers", async () => {
    const { registry, resolver } = setup();
    const manifest = registry.image("amd64", ["a"]);
    registry.tags.set("r.io/x:1", manifest);
    const call = { sessions: noSessions, signal: new AbortController().signal };
    const source = { identifier: "docker-image://r.io/x:1", attrs: {} };
    const [one, two] = await Promise.all([
      resolver.resolveConfig(source, amd64, call),
      resolver.resolveConfig(source, amd64, call),
    ]);
    assert.equal(one.digest, manifest.digest);
    assert.equal(JSON.parse(Buffer.from(two.config).toString()).architecture, "amd64");
    assert.equal(registry.reads.filter((read) => read.startsWith("resolve")).length, 1);
  });

  it("refuses documents that are not what they claim", async () => {
    const { registry, resolve } = setup();
    const cases: readonly [string, Descriptor, RegExp][] = [
      ["old", { mediaType: MediaType.dockerSchema1Signed, digest: sha256("x"), size: 1 }, /schema 1 has been removed/],
      ["both", registry.add(MediaType.ociIndex, { manifests: [], layers: [] }), /expected index but found manifest/],
      ["swap", registry.add(MediaType.ociManifest, { manifests: [] }), /expected manifest but found index/],
      ["list", registry.add(MediaType.ociManifest, []), /not a JSON object/],
      ["bad", registry.image("amd64", ["a"], { config: { digest: "x" } }), /descriptor without a valid digest/],
      ["count", registry.image("amd64", ["a"], { layers: [] }), /mismatched image rootfs and manifest layers/],
      ["odd", registry.add("application/x-thing", {}), /unexpected media type application\/x-thing/],
    ];
    for (const [tag, descriptor, message] of cases) {
      registry.tags.set(`r.io/x:${tag}`, descriptor);
      await assert.rejects(resolve(`docker-image://r.io/x:${tag}`), message);
    }
  });

  it("refuses a document with another digest", async () => {
    const { registry, resolve } = setup();
    const manifest = registry.image("amd64", ["a"]);
    registry.documents.set(manifest.digest, Buffer.from("{}"));
    registry.tags.set("r.io/x:1", manifest);
    await assert.rejects(resolve("docker-image://r.io/x:1"), /has digest sha256:44136fa355b3/);
  });
});

/** containerd's Content service over a map, as a client's session serves it. */
function contentSession(id: string, stores: Record<string, Map<string, Uint8Array>>): FakeSession {
  const blobOf = (request: Uint8Array, metadata: Readonly<Record<string, readonly string[]>>) => {
    const reader = new BinaryReader(request);
    let digest = "";
    let offset = 0;
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === 1) digest = reader.string();
      else if (field === 2) offset = Number(reader.int64());
      else reader.skip(wireType, field);
    }
    const store = stores[metadata["buildkit-attachable-store-id"]?.[0] ?? ""];
    if (store === undefined) throw new BuildError(Code.NotFound, "unknown store");
    const bytes = store.get(digest);
    if (bytes === undefined) throw new BuildError(Code.NotFound, `content ${digest}: not found`);
    return { digest, offset, bytes };
  };
  return new FakeSession(id, {
    "/containerd.services.content.v1.Content/Info": async function* (requests, metadata) {
      for await (const request of requests) {
        const { digest, bytes } = blobOf(request, metadata);
        const info = new BinaryWriter().uint32(10).string(digest).uint32(16).int64(bytes.length).finish();
        yield new BinaryWriter().uint32(10).bytes(info).finish();
      }
    },
    "/containerd.services.content.v1.Content/Read": async function* (requests, metadata) {
      for await (const request of requests) {
        const { bytes, offset } = blobOf(request, metadata);
        for (let at = offset; at < bytes.length; at += 7) {
          const data = bytes.subarray(at, at + 7);
          yield new BinaryWriter().uint32(8).int64(at).uint32(18).bytes(data).finish();
        }
      }
    },
  });
}

describe("OCI layouts", () => {
  it("are read from the client's store, layers included", async () => {
    const { registry, resolver } = setup();
    const manifest = registry.image("amd64", ["a"]);
    const layer = Buffer.from("gzip a");
    const store = new Map([...registry.documents, [sha256(layer), layer]] as [string, Uint8Array][]);
    const sessions = new FakeSessionGroup(contentSession("s1", {}), contentSession("s2", { "oci:lay": store }));
    const call = { sessions, signal: new AbortController().signal };
    const identifier = `oci-layout://any/name@${manifest.digest}`;
    const image = await resolver.resolve({ identifier, attrs: { "oci.store": "lay" } }, amd64, call);
    assert.equal(image.digest, manifest.digest);
    const origin = image.layers[0]?.origins[0];
    assert.ok(origin?.kind === "session");
    assert.equal(origin.storeId, "oci:lay");
    const reader = new RemoteOriginReader({ registry });
    const sized = { ...origin, descriptor: { ...origin.descriptor, size: layer.length } };
    const read = async (offset: number) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of reader.open(sized, { ...call, offset })) chunks.push(chunk);
      return Buffer.concat(chunks).toString();
    };
    assert.equal(await read(0), "gzip a");
    assert.equal(await read(3), "p a");
    const lying = new Map([[sha256(layer) as Digest, Buffer.from("gzip b")]]);
    const liar = new FakeSessionGroup(contentSession("s3", { "oci:lay": lying }));
    await assert.rejects(
      async () => {
        for await (const _ of reader.open(sized, { ...call, sessions: liar, offset: 0 }));
      },
      { code: Code.DataLoss },
    );
  });

  it("need a digest and a store that has it", async () => {
    const { resolver } = setup();
    const call = { sessions: new FakeSessionGroup(contentSession("s1", {})), signal: new AbortController().signal };
    const resolve = (identifier: string) =>
      resolver.resolve({ identifier, attrs: { "oci.store": "lay" } }, amd64, call);
    await assert.rejects(resolve("oci-layout://any/name:golden"), {
      message: 'reference "any/name:golden" must have digest',
    });
    await assert.rejects(resolve(`oci-layout://any/name@${sha256("x")}`), {
      message: "unable to get info about digest: unknown store",
    });
  });
});
