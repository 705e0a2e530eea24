import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import type { ExportContext, ExportSource } from "../../../src/core/seams/exporter.ts";
import type { Descriptor } from "../../../src/core/values/descriptor.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import type { LayerId } from "../../../src/core/values/layer.ts";
import type { TaskKind } from "../../../src/core/values/task.ts";
import { ArchiveExporter, FilesExporter, ImageExporter, type WrittenImage } from "../../../src/exporters/index.ts";
import { layerInfo } from "../../helpers/fake-fleet.ts";
import { FakeSessionGroup } from "../../helpers/fake-session.ts";

const gzip = (name: string): Descriptor => ({
  mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  digest: sha256(`blob ${name}`),
  size: 10,
  annotations: { "containerd.io/uncompressed": sha256(name), "buildkit/createdat": "x" },
});
const pulled = layerInfo("base", {
  diffId: sha256("base"),
  origins: [{ kind: "registry", repository: "docker.io/library/base", descriptor: gzip("base") }],
});
const built = layerInfo("built", { description: "RUN x", createdAt: 5000 });

/** Runs an exporter; packs are answered, everything dispatched is noted. */
function harness(layers = [pulled, built]) {
  const tasks: { kind: TaskKind; body: unknown }[] = [];
  const pushed: { image: WrittenImage; name: string; byDigest: boolean; insecure: boolean }[] = [];
  const context: ExportContext = {
    signal: new AbortController().signal,
    progress: { status: () => {}, log: () => {}, warn: () => {} },
    sessions: new FakeSessionGroup(),
    sessionId: "s",
    compatibilityVersion: 30,
    layer: (id) => layers.find((layer) => layer.id === id) ?? assert.fail(`no layer ${id}`),
    dispatcher: {
      run: async (kind, body) => {
        tasks.push({ kind, body });
        const [id = ""] = (body as { layers?: string[] }).layers ?? [];
        return { layers: [], descriptors: [gzip(id)], bytes: 0, files: 0 } as never;
      },
    },
  };
  const image = new ImageExporter({
    push: async (written, target) => void pushed.push({ image: written, ...target }),
  });
  return { tasks, pushed, context, image };
}

const source = (more: Partial<ExportSource> = {}): ExportSource => ({
  ref: { layers: ["base", "built"] as LayerId[] },
  metadata: new Map(),
  ...more,
});
const json = (image: WrittenImage | undefined, digest: string) =>
  JSON.parse(new TextDecoder().decode(image?.documents.get(digest as never)?.data));

describe("ImageExporter", () => {
  it("refuses zstd to builds that want the behaviour of BuildKit 0.13, as archives do", async () => {
    const { context, image } = harness();
    const names = { canonical: (name: string) => name, familiar: (name: string) => name };
    for (const exporter of [image, new ArchiveExporter("oci", names), new ArchiveExporter("docker", names)]) {
      const feature = `${exporter.type} exporter compression=zstd`;
      const old = { ...context, compatibilityVersion: 10 };
      await assert.rejects(
        exporter.resolve({ compression: "zstd" }, 0).export(source(), old),
        (error) =>
          error instanceof BuildError &&
          error.message === `unsupported compatibility-version 10 feature ${feature}` &&
          error.details.some(
            ({ typeUrl, value }) =>
              typeUrl === "github.com/moby/buildkit/errdefs.CompatibilityFeature+json" &&
              JSON.parse(Buffer.from(value).toString()).feature === feature,
          ),
      );
    }
  });

  it("packs only what has no blob, and pushes after the export", async () => {
    const { tasks, pushed, context, image } = harness();
    const { response, finalize } = await image
      .resolve({ name: "r/app,r/app:2", push: "true" })
      .export(source(), context);
    assert.deepEqual(
      tasks.map(({ kind, body }) => [kind, (body as { layers: string[] }).layers]),
      [["pack", ["built"]]],
    );
    assert.equal(pushed.length, 0);
    await finalize?.(context);
    assert.deepEqual(
      pushed.map(({ name }) => name),
      ["r/app", "r/app:2"],
    );
    assert.equal(response["image.name"], "r/app,r/app:2");
    const manifest = json(pushed[0]?.image, response["containerimage.digest"] ?? "");
    assert.deepEqual(
      manifest.layers.map((layer: Descriptor) => layer.digest),
      [gzip("base").digest, gzip("built").digest],
    );
    assert.equal(manifest.layers[0].annotations, undefined, "internal annotations stay inside");
    assert.deepEqual(json(pushed[0]?.image, manifest.config.digest).rootfs.diff_ids, [sha256("base"), sha256("built")]);
  });

  it("packs pulled layers too when compression is forced", async () => {
    const { tasks, context, image } = harness();
    await image.resolve({ compression: "zstd", "force-compression": "true" }).export(source(), context);
    assert.equal(tasks.length, 2);
  });

  it("writes an index for several platforms", async () => {
    const { pushed, context, image } = harness();
    const platforms = {
      Platforms: ["amd64", "arm64"].map((a) => ({ ID: `linux/${a}`, Platform: { os: "linux", architecture: a } })),
    };
    const refs = new Map([
      ["linux/amd64", { layers: ["base"] as LayerId[] }],
      ["linux/arm64", undefined],
    ]);
    const metadata = new Map([["refs.platforms", new TextEncoder().encode(JSON.stringify(platforms))]]);
    const { response, finalize } = await image
      .resolve({ name: "r/app", push: "1" })
      .export({ refs, metadata }, context);
    await finalize?.(context);
    const index = json(pushed[0]?.image, response["containerimage.digest"] ?? "");
    assert.equal(index.mediaType, "application/vnd.oci.image.index.v1+json");
    assert.deepEqual(
      index.manifests.map((manifest: Descriptor) => manifest.platform?.architecture),
      ["amd64", "arm64"],
    );
    assert.equal(response["containerimage.config.digest"], undefined);
  });

  it("pushes by digest and to insecure registries when told to", async () => {
    const { pushed, context, image } = harness();
    const attrs = { name: "r/app", push: "true", "push-by-digest": "true", "registry.insecure": "true" };
    const { finalize } = await image.resolve(attrs).export(source(), context);
    await finalize?.(context);
    assert.deepEqual(
      pushed.map(({ name, byDigest, insecure }) => ({ name, byDigest, insecure })),
      [{ name: "r/app", byDigest: true, insecure: true }],
    );
  });

  it("puts annotations where they belong", async () => {
    const { pushed, context, image } = harness();
    const platform = { os: "linux", architecture: "amd64" };
    const attrs = {
      name: "r/app",
      push: "true",
      "annotation.all": "1",
      "annotation-manifest[linux/amd64].one": "2",
      "annotation-manifest-descriptor.descriptor": "4",
      "annotation-index.index": "5",
    };
    const metadata = new Map([
      ["refs.platforms", Buffer.from(JSON.stringify({ Platforms: [{ ID: "linux/amd64", Platform: platform }] }))],
    ]);
    const refs = new Map([["linux/amd64", { layers: ["base"] as LayerId[] }]]);
    await assert.rejects(image.resolve({ "annotation[linux/arm64].x": "3" }).export({ refs, metadata }, context), {
      message: "invalid annotation: no platform linux/arm64 found in source",
    });
    const { response, finalize } = await image.resolve(attrs).export({ refs, metadata }, context);
    await finalize?.(context);
    const index = json(pushed[0]?.image, response["containerimage.digest"] ?? "");
    assert.deepEqual(index.annotations, { index: "5" });
    assert.deepEqual(index.manifests[0].annotations, { descriptor: "4" });
    assert.deepEqual(json(pushed[0]?.image, index.manifests[0].digest).annotations, { all: "1", one: "2" });
  });

  it("has Docker's media types before version 30 of the format, unless told otherwise", async () => {
    const typesOf = async (compatibilityVersion: number, attrs: Record<string, string> = {}) => {
      const { pushed, context, image } = harness();
      const { response, finalize } = await image
        .resolve({ name: "r/app", push: "true", ...attrs })
        .export(source(), { ...context, compatibilityVersion });
      await finalize?.(context);
      const manifest = json(pushed[0]?.image, response["containerimage.digest"] ?? "");
      return [manifest.mediaType, manifest.config.mediaType];
    };
    const docker = [
      "application/vnd.docker.distribution.manifest.v2+json",
      "application/vnd.docker.container.image.v1+json",
    ];
    const oci = ["application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json"];
    assert.deepEqual(await typesOf(20), docker);
    assert.deepEqual(await typesOf(30), oci);
    assert.deepEqual(await typesOf(20, { "oci-mediatypes": "true" }), oci);
    assert.deepEqual(await typesOf(30, { "oci-mediatypes": "false" }), docker);
  });

  it("refuses attributes that cannot be met", () => {
    const { image } = harness();
    for (const [attrs, message] of [
      [{ compression: "lzma" }, /unsupported compression type lzma/],
      [{ "compression-level": "x" }, /non-int value x/],
      [{ push: "maybe" }, /non-bool value specified for push/],
      [{ "annotation-nonsense.k": "v" }, /unrecognized annotation type nonsense/],
    ] as const) {
      assert.throws(
        () => image.resolve(attrs),
        (error) => error instanceof BuildError && message.test(error.message),
      );
    }
  });
});

describe("ArchiveExporter", () => {
  const names = { canonical: (name: string) => `docker.io/library/${name}:latest`, familiar: (name: string) => name };

  it("sends a layout with sorted entries and, for docker, manifest.json", async () => {
    for (const type of ["oci", "docker"] as const) {
      const { tasks, context } = harness();
      await new ArchiveExporter(type, names).resolve({ name: "app" }, 3).export(source(), context);
      const body = tasks.at(-1)?.body as { exporterId: number; entries: { path: string; data?: Uint8Array }[] };
      assert.equal(body.exporterId, 3);
      const paths = body.entries.map(({ path }) => path);
      assert.deepEqual(paths, [...paths].sort());
      assert.equal(paths.includes("manifest.json"), type === "docker");
      const index = JSON.parse(new TextDecoder().decode(body.entries.find(({ path }) => path === "index.json")?.data));
      assert.equal(index.manifests[0].annotations["io.containerd.image.name"], "docker.io/library/app:latest");
      assert.equal(index.manifests[0].annotations["org.opencontainers.image.ref.name"], "latest");
    }
  });
});

describe("FilesExporter", () => {
  it("sends one root, or one per platform into a directory of its own", async () => {
    const { tasks, context } = harness();
    await new FilesExporter("local").resolve({}, 0).export(source(), context);
    await new FilesExporter("local").resolve({ "platform-split": "true" }, 0).export(source(), context);
    const prefixes = tasks.map(({ body }) =>
      (body as { roots: { prefix: string }[] }).roots.map(({ prefix }) => prefix),
    );
    assert.deepEqual(prefixes, [[""], ["linux_amd64"]]);
  });

  it("refuses unknown modes", () => {
    assert.throws(() => new FilesExporter("local").resolve({ mode: "x" }, 0), /invalid local exporter mode/);
  });
});
