import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeCacheConfig, parseCacheConfig } from "../../../src/cache/cache-config.ts";
import { encodeCacheManifest, parseCacheManifest } from "../../../src/cache/cache-manifest.ts";
import { ImportedCache } from "../../../src/cache/imported-cache.ts";
import { inlineRecords } from "../../../src/cache/inline/inline-records.ts";
import type { Descriptor } from "../../../src/core/values/descriptor.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import { MediaType } from "../../../src/core/values/media-type.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const layer = (name: string): Descriptor => ({ mediaType: MediaType.ociLayerGzip, digest: sha256(name), size: 3 });

describe("cache config", () => {
  /** As BuildKit v0.32 wrote it, with digests of our own. */
  const recorded =
    `{"layers":[{"blob":"${sha256("x")}","parent":1},{"blob":"${sha256("base")}","parent":-1},{"blob":"${sha256("y")}"}],` +
    `"records":[{"layers":[{"layer":0,"createdAt":"2026-11-23T08:00:38.935Z"}],"digest":"${sha256("op")}",` +
    `"inputs":[[{"selector":"${sha256("/")}","link":1}]]},{"digest":"${sha256("root")}"}]}`;

  it("writes what it reads, byte for byte", () => {
    const config = parseCacheConfig(new TextEncoder().encode(recorded));
    assert.equal(config.layers[2]?.parent, 0);
    assert.equal(text(encodeCacheConfig(config)), recorded);
    assert.equal(text(encodeCacheConfig({ layers: [], records: [] })), "{}");
  });

  it("passes over what it does not know", () => {
    const config = parseCacheConfig(
      bytes({ version: 9, records: [{ digest: sha256("a"), more: 1, inputs: null }], layers: null }),
    );
    assert.deepEqual(config, { layers: [], records: [{ digest: sha256("a"), inputs: [], results: [], chains: [] }] });
  });

  const root = { digest: sha256("root") };
  const hostile: Record<string, [unknown, RegExp]> = {
    "no object": [[1], /cache config is no object/],
    "records that are no list": [{ records: {} }, /records is no list/],
    "no digest": [{ records: [{ digest: "x" }] }, /is no digest/],
    "a loop": [
      {
        records: [
          { digest: sha256("a"), inputs: [[{ link: 1 }]] },
          { digest: sha256("b"), inputs: [[{ link: 0 }]] },
        ],
      },
      /invalid looping record/,
    ],
    "a record that leads to itself": [
      { records: [{ digest: sha256("a"), inputs: [[{ link: 0 }]] }] },
      /invalid looping record/,
    ],
    "a link out of the list": [{ records: [{ ...root, inputs: [[{ link: 7 }]] }] }, /invalid record ID: 7/],
    "a negative link": [{ records: [{ ...root, inputs: [[{ link: -1 }]] }] }, /invalid record ID: -1/],
    "an empty input": [{ records: [{ ...root, inputs: [[]] }] }, /invalid empty input for record 0/],
    "layers in a circle": [
      {
        layers: [
          { blob: sha256("x"), parent: 1 },
          { blob: sha256("y"), parent: 0 },
        ],
      },
      /invalid looping layer/,
    ],
    "a layer out of the list": [{ records: [{ ...root, layers: [{ layer: 3 }] }] }, /invalid layer index 3/],
    "a time that is none": [{ records: [{ ...root, layers: [{ layer: 0, createdAt: "soon" }] }] }, /is no time/],
  };
  for (const [name, [config, message]] of Object.entries(hostile)) {
    it(`refuses ${name}`, () => {
      assert.throws(() => new ImportedCache(parseCacheConfig(bytes(config)), new Map()), { message });
    });
  }

  it("reads a chain as long as it likes", () => {
    const count = 30_000;
    const config = {
      layers: Array.from({ length: count }, (_, i) => ({ blob: sha256("x"), parent: i - 1 })),
      records: Array.from({ length: count }, (_, i) => ({
        digest: sha256("r"),
        inputs: i + 1 < count ? [[{ link: i + 1 }]] : [],
        layers: [{ layer: i }],
      })),
    };
    const cache = new ImportedCache(parseCacheConfig(bytes(config)), new Map([[sha256("x"), layer("x")]]));
    assert.equal(cache.layers(`layer-${count - 1}`)?.length, count);
  });

  it("leaves out results whose blobs the manifest does not offer", () => {
    const config = parseCacheConfig(new TextEncoder().encode(recorded));
    const whole = new ImportedCache(config, new Map(["x", "base"].map((name) => [sha256(name), layer(name)])));
    assert.deepEqual(
      whole.layers(whole.records[0]?.results[0]?.id ?? "")?.map(({ digest }) => digest),
      [sha256("base"), sha256("x")],
    );
    const partial = new ImportedCache(config, new Map([[sha256("x"), layer("x")]]));
    assert.deepEqual(partial.records[0]?.results, []);
    assert.equal(partial.layers("layer-99"), undefined);
  });
});

describe("inline records", () => {
  const config = (blobs: readonly string[]) => ({
    layers: blobs.map((name, i) => ({ blob: sha256(name), parent: i - 1 })),
    records: [
      {
        digest: sha256("op"),
        inputs: [],
        results: [{ layer: blobs.length - 1, createdAt: 1_000 }],
        chains: [],
      },
    ],
  });
  const image = ["a", "b", "c"].map((name) => sha256(name));
  const record = (encoded: Uint8Array | undefined) => JSON.parse(text(encoded ?? bytes([])))[0];

  it("points at the top layer when the result is the bottom of the image", () => {
    assert.deepEqual(record(inlineRecords(config(["a", "b"]), image)).layers, [
      { layer: 1, createdAt: "1970-01-01T00:00:01Z" },
    ]);
  });

  it("lists the layers when they lie otherwise", () => {
    const { chains, layers } = record(inlineRecords(config(["c", "a"]), image));
    assert.deepEqual(chains, [{ layers: [2, 0], createdAt: "0001-01-01T00:00:00Z" }]);
    assert.equal(layers, undefined);
  });

  it("is nothing without layers", () => {
    assert.equal(inlineRecords({ layers: [], records: [] }, image), undefined);
  });
});

describe("cache manifest", () => {
  const config: Descriptor = {
    mediaType: "application/vnd.buildkit.cacheconfig.v0",
    digest: sha256("config"),
    size: 2,
  };

  for (const form of ["image-manifest", "oci-index", "docker-index"] as const) {
    it(`reads the ${form} that it wrote`, () => {
      const blob = {
        ...layer("x"),
        annotations: { "containerd.io/uncompressed": sha256("d"), "buildkit/createdat": "t" },
      };
      const { data, mediaType } = encodeCacheManifest(form, config, [blob]);
      const manifest = parseCacheManifest(data);
      assert.equal(manifest.mediaType, mediaType);
      assert.deepEqual(manifest.config, config);
      assert.equal(manifest.layers[0]?.digest, blob.digest);
      assert.deepEqual(Object.keys(manifest.layers[0]?.annotations ?? {}), [
        "buildkit/createdat",
        "containerd.io/uncompressed",
      ]);
      assert.equal(manifest.layers[0]?.mediaType.startsWith("application/vnd.docker"), form === "docker-index");
    });
  }

  it("refuses what is two things at once", () => {
    assert.throws(() => parseCacheManifest(bytes({ config, manifests: [] })), { message: /ambiguous/ });
    assert.throws(() => parseCacheManifest(bytes({ mediaType: MediaType.ociIndex, config, layers: [] })), {
      message: /does not match/,
    });
    assert.throws(() => parseCacheManifest(bytes({ layers: [{ digest: sha256("x"), size: -1 }] })), {
      message: /invalid size/,
    });
  });
});
