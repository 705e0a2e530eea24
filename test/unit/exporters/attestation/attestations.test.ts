import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Stat } from "../../../../src/api/gen/fsutil.ts";
import { Attestation, AttestationKind, InTotoSubjectKind, ReadDirResponse } from "../../../../src/api/gen/gateway.ts";
import type { EvaluatedAttestation, ExportContext, ExportSource } from "../../../../src/core/seams/exporter.ts";
import type { Descriptor } from "../../../../src/core/values/descriptor.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import type { LayerId, Ref } from "../../../../src/core/values/layer.ts";
import type { TaskBody } from "../../../../src/core/values/task.ts";
import { ArchiveExporter, FilesExporter, ImageExporter, type WrittenImage } from "../../../../src/exporters/index.ts";
import { layerInfo } from "../../../helpers/fake-fleet.ts";
import { FakeSessionGroup } from "../../../helpers/fake-session.ts";

const spdx = "https://spdx.dev/Document";
const utf8 = (text: string) => new TextEncoder().encode(text);
const image: Ref = { layers: ["base", "top"] as LayerId[] };
const notes: Ref = { layers: ["notes"] as LayerId[] };
const descriptor = (name: string): Descriptor => ({
  mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  digest: sha256(`blob ${name}`),
  size: 7,
  annotations: { "containerd.io/uncompressed": sha256(name) },
});

/** An agent whose refs hold `files`, by the id of their only or topmost layer. */
function harness(files: Readonly<Record<string, Readonly<Record<string, string>>>>) {
  const sent: TaskBody<"export.files">[] = [];
  const archives: TaskBody<"export.archive">[] = [];
  const run = (kind: string, body: unknown): unknown => {
    const { ref } = body as { readonly ref: Ref };
    const tree = files[ref?.layers.at(-1) ?? ""] ?? {};
    if (kind === "pack") {
      const [id = ""] = (body as TaskBody<"pack">).layers;
      return { layers: [], descriptors: [descriptor(id)] };
    }
    if (kind === "list.files") {
      return { files: Object.entries(tree).map(([path, text]) => ({ path, digest: sha256(text) })) };
    }
    if (kind === "read") return { data: read(body as TaskBody<"read">, tree) };
    if (kind === "export.archive") archives.push(body as TaskBody<"export.archive">);
    if (kind === "export.files") sent.push(body as TaskBody<"export.files">);
    return {};
  };
  const context: ExportContext = {
    signal: new AbortController().signal,
    progress: { status: () => {}, log: () => {}, warn: () => {} },
    sessions: new FakeSessionGroup(),
    sessionId: "s",
    compatibilityVersion: 30,
    layer: (id) => layerInfo(id),
    dispatcher: { run: async (kind, body) => run(kind, body) as never },
  };
  return { context, sent, archives };
}

function read(body: TaskBody<"read">, tree: Readonly<Record<string, string>>): Uint8Array {
  if (body.op === "dir") {
    const entries = Object.keys(tree).map((path) => Stat.fromPartial({ path }));
    return ReadDirResponse.encode({ entries }).finish();
  }
  const text = tree[body.path.replace(/^\//, "")] ?? assert.fail(`no file ${body.path}`);
  return body.op === "stat" ? Stat.encode(Stat.fromPartial({ size: text.length })).finish() : utf8(text);
}

const provenance = (inlineOnly = false): EvaluatedAttestation => ({
  attestation: Attestation.fromPartial({
    kind: AttestationKind.InToto,
    metadata: { reason: utf8("provenance"), "inline-only": utf8(String(inlineOnly)) },
    path: "provenance.json",
    inTotoPredicateType: "https://slsa.dev/provenance/v1",
  }),
  content: async () => utf8('{"b": "<1>", "a": 2}'),
});

const bundle = (more: Partial<Attestation> = {}): EvaluatedAttestation => ({
  attestation: Attestation.fromPartial({
    kind: AttestationKind.Bundle,
    metadata: { "sbom-core": utf8("sbom") },
    inTotoPredicateType: spdx,
    ...more,
  } as Attestation),
  ref: notes,
});

const source = (...attestations: EvaluatedAttestation[]): ExportSource => ({
  ref: image,
  metadata: new Map([["containerimage.config", utf8('{"os":"linux","architecture":"amd64"}')]]),
  attestations: new Map([["linux/amd64", attestations]]),
});

const document = (written: WrittenImage, digest: string) =>
  JSON.parse(new TextDecoder().decode(written.documents.get(digest as never)?.data));

async function push(attrs: Readonly<Record<string, string>>, result: ExportSource, context: ExportContext) {
  const images: WrittenImage[] = [];
  const exporter = new ImageExporter({ push: async (written) => void images.push(written) });
  const { finalize } = await exporter.resolve({ name: "app", push: "true", ...attrs }).export(result, context);
  await finalize?.(context);
  return images[0] ?? assert.fail("nothing pushed");
}

describe("attestations of images", () => {
  it("go into a manifest of their own beside the image's, each statement a layer", async () => {
    const written = await push({}, source(provenance(true)), harness({}).context);
    const index = document(written, written.descriptor.digest);
    const [manifest, attached] = index.manifests;
    assert.deepEqual(manifest.platform, { architecture: "amd64", os: "linux" });
    assert.deepEqual(attached.platform, { architecture: "unknown", os: "unknown" });
    assert.deepEqual(attached.annotations, {
      "vnd.docker.reference.digest": manifest.digest,
      "vnd.docker.reference.type": "attestation-manifest",
    });
    const { config, layers, ...rest } = document(written, attached.digest);
    assert.deepEqual(rest, {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      artifactType: "application/vnd.docker.attestation.manifest.v1+json",
      subject: { mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.size },
    });
    assert.equal(config.mediaType, "application/vnd.oci.empty.v1+json");
    assert.deepEqual(layers[0].annotations, { "in-toto.io/predicate-type": "https://slsa.dev/provenance/v1" });
    const text = new TextDecoder().decode(written.documents.get(layers[0].digest)?.data);
    assert.equal(
      text,
      '{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://slsa.dev/provenance/v1","subject":' +
        '[{"name":"pkg:docker/app@latest?platform=linux%2Famd64","digest":{"sha256":' +
        `"${manifest.digest.slice("sha256:".length)}"}}],"predicate":{"b":"\\u003c1\\u003e","a":2}}`,
    );
  });

  it("look like an image where artifacts are not wanted", async () => {
    for (const [attrs, compatibilityVersion] of [
      [{ "oci-artifact": "false" }, 30],
      [{}, 20],
    ] as const) {
      const { context } = harness({});
      const written = await push(attrs, source(provenance()), { ...context, compatibilityVersion });
      const attached = document(written, document(written, written.descriptor.digest).manifests[1].digest);
      assert.equal(attached.subject ?? attached.artifactType, undefined);
      assert.equal(attached.mediaType, "application/vnd.oci.image.manifest.v1+json");
      assert.deepEqual(document(written, attached.config.digest), {
        architecture: "unknown",
        os: "unknown",
        config: {},
        rootfs: { type: "layers", diff_ids: [attached.layers[0].digest] },
      });
    }
  });

  it("that are for images only make no index, but go along where there is one", async () => {
    const { context } = harness({});
    const single = await push({ "attestation-inline": "false" }, source(provenance(true)), context);
    assert.match(single.descriptor.mediaType, /manifest/);
    const platforms = { Platforms: [{ ID: "x", Platform: { os: "linux", architecture: "amd64" } }] };
    const multi: ExportSource = {
      refs: new Map([["x", image]]),
      metadata: new Map([["refs.platforms", utf8(JSON.stringify(platforms))]]),
      attestations: new Map([["x", [provenance(true)]]]),
    };
    const written = await push({ "attestation-inline": "false" }, multi, context);
    assert.equal(document(written, written.descriptor.digest).manifests.length, 2);
  });

  it("need OCI types", async () => {
    const { context } = harness({});
    await assert.rejects(push({ "oci-mediatypes": "false" }, source(provenance()), context), {
      message: 'cannot export attestations with "oci-mediatypes=false"',
    });
    await assert.rejects(push({ "oci-mediatypes": "false", "oci-artifact": "true" }, source(), context), {
      message: 'exporter option "oci-artifact=true" conflicts with "oci-mediatypes=false"',
    });
    const names = { canonical: (name: string) => name, familiar: (name: string) => name };
    const archive = new ArchiveExporter("docker", names).resolve({}, 0);
    await assert.doesNotReject(archive.export(source(provenance(true)), context));
  });

  it("leave nothing for docker load's own manifest to say", async () => {
    const { context, archives } = harness({});
    const names = { canonical: (name: string) => name, familiar: (name: string) => name };
    const archive = new ArchiveExporter("docker", names).resolve({}, 0);
    await archive.export(source(), context);
    await archive.export(source(provenance()), context);
    const [plain, attested] = archives.map(({ entries }) => entries.map(({ path }) => path));
    assert.ok(plain?.includes("manifest.json"));
    assert.ok(attested?.includes("index.json") && !attested.includes("manifest.json"));
  });

  it("come out of bundles, the SBOM of the result first and told the layers of its files", async () => {
    const statement = (predicate: object, subject: object[] = []) =>
      JSON.stringify({ _type: "x", predicateType: spdx, subject, predicate });
    const { context } = harness({
      notes: {
        "extra.json": statement({ z: 1, a: 2 }, [{ name: "lib", digest: { sha256: "ab" } }]),
        "sbom.spdx.json": statement({
          spdxVersion: "SPDX-2.3",
          creationInfo: { creators: ["Tool: x"] },
          files: [{ fileName: "/etc/a" }, { fileName: "b" }, { fileName: "c", comment: "mine" }, { fileName: "d" }],
        }),
      },
      base: { "etc/a": "", b: "" },
      top: { b: "", c: "" },
    });
    const written = await push({}, source(bundle(), provenance()), context);
    const attached = document(written, document(written, written.descriptor.digest).manifests[1].digest);
    const [sbom, extra, last] = attached.layers.map(({ digest }: Descriptor) => document(written, digest));
    assert.deepEqual(
      sbom.predicate.files.map(({ comment }: { comment?: string }) => comment),
      [`layerID: ${descriptor("base").digest}`, `layerID: ${descriptor("top").digest}`, "mine", undefined],
    );
    assert.match(sbom.predicate.creationInfo.creators.join(), /^Tool: x,Tool: buildkit-v/);
    assert.deepEqual(extra.subject, [{ name: "lib", digest: { sha256: "ab" } }]);
    assert.equal(JSON.stringify(extra.predicate), '{"a":2,"z":1}', "sorted, as Go writes what it has decoded");
    assert.equal(last.predicateType, "https://slsa.dev/provenance/v1");
  });

  it("are refused when a frontend must not make them, or when they are none", async () => {
    const { context } = harness({
      notes: { "a.json": '{"predicateType":"https://slsa.dev/provenance/v1"}', "list.json": "[]" },
    });
    const { content: _, ...claimed } = provenance();
    const cases: [EvaluatedAttestation, string][] = [
      [{ ...claimed, ref: notes }, "frontend may not set provenance attestations"],
      [bundle({ inTotoPredicateType: "" }), "frontend may not bundle provenance attestations"],
      [bundle(), `bundle entry https://slsa.dev/provenance/v1 does not match required predicate type ${spdx}`],
      [claimed, "attestation does not have available content"],
      [
        { ...bundle(), attestation: { ...bundle().attestation, kind: AttestationKind.InToto } },
        "attestation does not have set path",
      ],
    ];
    for (const [attestation, message] of cases) {
      await assert.rejects(push({}, source(attestation), context), { message });
    }
  });

  it("speak of themselves under names of their own, too", async () => {
    const named: EvaluatedAttestation = {
      ...provenance(),
      attestation: {
        ...provenance().attestation,
        inTotoSubjects: [
          { kind: InTotoSubjectKind.Self, name: "other", digest: [] },
          { kind: InTotoSubjectKind.Raw, name: "", digest: ["sha512:cd", "sha256:ab"] },
        ],
      },
    };
    const written = await push({}, source(named), harness({}).context);
    const attached = document(written, document(written, written.descriptor.digest).manifests[1].digest);
    const { subject } = document(written, attached.layers[0].digest);
    assert.deepEqual(
      subject.map(({ name }: { name: string }) => name),
      ["pkg:docker/app@latest?platform=linux%2Famd64", "other", "_"],
    );
    assert.equal(JSON.stringify(subject[2].digest), '{"sha256":"ab","sha512":"cd"}');
  });
});

describe("attestations beside files", () => {
  const tree = { top: { "a.txt": "a", "d/b": "b" } };

  it("speak of the files", async () => {
    const { context, sent } = harness(tree);
    await new FilesExporter("local").resolve({ "attestation-prefix": "p-" }, 0).export(source(provenance()), context);
    const [extra] = sent[0]?.roots[0]?.extra ?? [];
    assert.equal(extra?.path, "p-provenance.json");
    const text = new TextDecoder().decode(extra?.data);
    assert.match(text, /^\{\n {2}"_type"/);
    assert.deepEqual(JSON.parse(text).subject, [
      { name: "a.txt", digest: { sha256: sha256("a").slice(7) } },
      { name: "d/b", digest: { sha256: sha256("b").slice(7) } },
    ]);
  });

  it("are left out when they are for images only", async () => {
    const { context, sent } = harness(tree);
    await new FilesExporter("tar").resolve({}, 0).export(source(provenance(true)), context);
    assert.deepEqual(sent[0]?.roots[0]?.extra, []);
  });

  it("tell their platform where platforms share a directory", async () => {
    const { context, sent } = harness(tree);
    const ids = ["linux/amd64", "linux/arm64"];
    const Platforms = ids.map((ID) => ({ ID, Platform: { os: "linux", architecture: ID.slice(6) } }));
    const multi: ExportSource = {
      refs: new Map(ids.map((id) => [id, image])),
      metadata: new Map([["refs.platforms", utf8(JSON.stringify({ Platforms }))]]),
      attestations: new Map(ids.map((id) => [id, [provenance()]])),
    };
    await new FilesExporter("local").resolve({ "platform-split": "false" }, 0).export(multi, context);
    assert.deepEqual(
      sent.flatMap(({ roots }) => roots.flatMap(({ extra }) => extra.map(({ path }) => path))),
      ["provenance.linux_amd64.json", "provenance.linux_arm64.json"],
    );
    const twice = source(provenance(), provenance());
    await assert.rejects(new FilesExporter("local").resolve({}, 0).export(twice, context), {
      message: "duplicate attestation path name provenance.json",
    });
  });
});
