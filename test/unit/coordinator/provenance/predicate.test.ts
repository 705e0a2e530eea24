import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Definition, Op } from "../../../../src/api/gen/ops.ts";
import type { ProvenanceOptions } from "../../../../src/coordinator/provenance/attest-options.ts";
import { BuildSteps } from "../../../../src/coordinator/provenance/build-steps.ts";
import { Capture } from "../../../../src/coordinator/provenance/capture.ts";
import { opJson } from "../../../../src/coordinator/provenance/op-json.ts";
import {
  type ProvenanceRun,
  type ProvenanceSubject,
  provenancePredicate,
} from "../../../../src/coordinator/provenance/predicate.ts";
import type { RequestProvenance } from "../../../../src/coordinator/provenance/request-provenance.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";

type PartialOp = Parameters<typeof Op.fromPartial>[0];
const encode = (op: PartialOp) => Op.encode(Op.fromPartial(op)).finish();
const local = encode({
  op: {
    $case: "source",
    value: { identifier: "local://c", attrs: { "local.session": "s", "local.unique": "u", z: "", a: "1" } },
  },
  constraints: {},
});
const copy = encode({
  inputs: [{ digest: sha256(local), index: 0 }],
  op: {
    $case: "file",
    value: {
      actions: [{ input: 0, secondaryInput: -1, output: 0, action: { $case: "mkdir", value: { path: "/a" } } }],
    },
  },
});
const end = encode({ inputs: [{ digest: sha256(copy), index: 0 }] });
const definition = Definition.fromPartial({
  def: [copy, local, end],
  Source: {
    infos: [{ filename: "Dockerfile", language: "Dockerfile", data: new TextEncoder().encode("FROM x") }],
    locations: {
      [sha256(copy)]: { locations: [{ ranges: [{ start: { line: 2 }, end: { line: 3 } }] }] },
      "sha256:other": { locations: [] },
    },
  },
});

const options: ProvenanceOptions = {
  version: "v1",
  mode: "max",
  builderId: "id",
  filename: "provenance.json",
  reproducible: false,
  inlineOnly: false,
  completeMaterials: false,
  indented: false,
};
const blob = { mediaType: "t", digest: sha256("blob"), size: 3 };
const run: ProvenanceRun = {
  invocationId: "i",
  startedAt: Date.UTC(2024, 0, 1),
  finishedAt: Date.UTC(2024, 0, 1, 0, 0, 1, 500),
  compatibilityVersion: 30,
  environment: { site: "here" },
  stepBlobs: [
    { vertex: sha256(copy), output: 0, blobs: [blob] },
    { vertex: sha256(copy), output: 0, blobs: [blob] },
    { vertex: "sha256:other", output: 0, blobs: [blob] },
  ],
};
const args = { "build-arg:A": "1", "label:l": "2", target: "t", "vcs:source": "https://u:p@h/r", "vcs:revision": "" };
const asked: RequestProvenance = {
  configSource: { uri: "https://h/r.git", path: "Dockerfile" },
  request: { frontend: "dockerfile.v0", args },
};
const capture = new Capture();
capture.addSecret({ id: "s", optional: false });
capture.addLocal("c");
const subject: ProvenanceSubject = { capture, requests: { request: asked, root: undefined }, definition };

// biome-ignore lint/suspicious/noExplicitAny: the shape is what is tested
const predicate = (more: Partial<ProvenanceOptions> = {}, of = subject): any =>
  JSON.parse(JSON.stringify(provenancePredicate(of, { ...options, ...more }, run)));

describe("provenancePredicate()", () => {
  it("tells all in mode max", () => {
    const { buildDefinition, runDetails } = predicate();
    assert.deepEqual(buildDefinition.externalParameters, {
      configSource: asked.configSource,
      request: {
        frontend: "dockerfile.v0",
        args: { "build-arg:A": "1", "label:l": "2", target: "t" },
        secrets: [{ id: "s" }],
        locals: [{ name: "c" }],
        compatibilityVersion: 30,
      },
    });
    assert.equal(buildDefinition.internalParameters.buildConfig.llbDefinition.length, 3);
    assert.equal(buildDefinition.internalParameters.site, "here");
    const { buildkit_metadata: metadata, ...rest } = runDetails.metadata;
    assert.deepEqual(rest, {
      invocationId: "i",
      startedOn: "2024-01-01T00:00:00Z",
      finishedOn: "2024-01-01T00:00:01.5Z",
      buildkit_completeness: { request: true, resolvedDependencies: false },
    });
    assert.deepEqual(metadata.vcs, { source: "https://xxxxx:xxxxx@h/r" });
    assert.deepEqual(metadata.source.locations, {
      step1: { locations: [{ ranges: [{ start: { line: 2 }, end: { line: 3 } }] }] },
    });
    assert.equal(metadata.source.infos[0].data, Buffer.from("FROM x").toString("base64"));
    assert.deepEqual(metadata.layers, { "step1:0": [[blob]] });
  });

  it("keeps arguments, labels, secrets and steps to itself in mode min, and says so", () => {
    const inner = { ...asked, request: { ...asked.request, secrets: [{ id: "x" }] } };
    const { buildDefinition, runDetails } = predicate(
      { mode: "min", reproducible: true },
      {
        ...subject,
        requests: { request: { ...asked, request: { ...asked.request, inputs: { in: inner } } }, root: inner },
      },
    );
    const { request } = buildDefinition.externalParameters;
    assert.deepEqual(request.args, { target: "t" });
    assert.equal(request.secrets, undefined);
    for (const nested of [request.inputs.in, request.root]) {
      assert.deepEqual(Object.keys(nested.request.args), ["target", "vcs:source", "vcs:revision"]);
      assert.equal(nested.request.secrets, undefined);
    }
    assert.equal(buildDefinition.internalParameters.buildConfig, undefined);
    assert.deepEqual(Object.keys(runDetails.metadata.buildkit_metadata), ["vcs"]);
    assert.equal(runDetails.metadata.buildkit_completeness.request, false);
    assert.equal(runDetails.metadata.buildkit_reproducible, true);
  });

  it("is hermetic when everything is known and no step reached the network", () => {
    const closed = new Capture();
    const of = (all: Capture) => predicate({}, { ...subject, capture: all }).runDetails.metadata;
    assert.equal(of(closed).buildkit_hermetic, true);
    assert.equal(of(closed).buildkit_completeness.resolvedDependencies, true);
    closed.networkAccess = true;
    assert.equal(of(closed).buildkit_hermetic, undefined);
  });

  it("has no request for a definition of the client's own", () => {
    const { buildDefinition, runDetails } = predicate(
      {},
      { ...subject, requests: { request: undefined, root: undefined } },
    );
    assert.deepEqual(buildDefinition.externalParameters.configSource, {});
    assert.equal(buildDefinition.externalParameters.request.frontend, undefined);
    assert.equal(buildDefinition.internalParameters.dockerfileVersion, undefined);
    assert.equal(runDetails.metadata.buildkit_completeness.request, false);
  });

  it("speaks v0.2", () => {
    const old = predicate({ version: "v0.2" });
    assert.deepEqual(Object.keys(old), ["builder", "buildType", "invocation", "buildConfig", "metadata"]);
    assert.deepEqual(old.invocation.configSource, { uri: "https://h/r.git", entryPoint: "Dockerfile" });
    assert.equal(old.invocation.parameters.frontend, "dockerfile.v0");
    assert.match(old.invocation.environment.platform, /^linux\//);
    assert.deepEqual(old.metadata.completeness, { parameters: true, environment: true, materials: false });
    assert.deepEqual(Object.keys(old.metadata["https://mobyproject.org/buildkit@v1#metadata"]), [
      "vcs",
      "source",
      "layers",
    ]);
  });
});

describe("BuildSteps", () => {
  it("numbers steps after their inputs and forgets sessions", () => {
    const { llbDefinition = [], digestMapping = {} } = new BuildSteps(definition).config;
    assert.deepEqual(llbDefinition[0], {
      id: "step0",
      op: { Op: { source: { identifier: "local://c", attrs: { a: "1", z: "" } } }, constraints: {} },
    });
    assert.deepEqual(llbDefinition[1]?.inputs, ["step0:0"]);
    assert.deepEqual(llbDefinition[2], { id: "step2", op: { Op: {} }, inputs: ["step1:0"] });
    assert.equal(digestMapping[sha256(end)], "step2");
    assert.deepEqual(Object.keys(digestMapping), Object.keys(digestMapping).sort());
  });

  it("has nothing for scratch, and refuses a definition with a hole", () => {
    assert.deepEqual(new BuildSteps(undefined).config, {});
    assert.throws(() => new BuildSteps(Definition.fromPartial({ def: [end] })), {
      message: `failed to find input ${sha256(copy)}`,
    });
  });
});

it("opJson() writes messages as Go does", () => {
  const op = Op.fromPartial({
    platform: { OS: "linux", Architecture: "amd64" },
    op: {
      $case: "file",
      value: {
        actions: [
          {
            action: {
              $case: "copy",
              value: {
                src: "/a",
                mode: -1,
                includePatterns: ["*"],
                owner: {
                  user: { user: { $case: "byID", value: 0 } },
                  group: { user: { $case: "byName", value: { name: "g" } } },
                },
              },
            },
          },
          {
            input: -1,
            secondaryInput: -1,
            output: -1,
            action: { $case: "mkfile", value: { data: new Uint8Array([1]) } },
          },
          { action: { $case: "symlink", value: { oldpath: "a" } } },
        ],
      },
    },
  });
  const [first, second, third] = (opJson(op) as { Op: { file: { actions: unknown[] } } }).Op.file.actions;
  assert.deepEqual(first, {
    input: 0,
    secondaryInput: 0,
    output: 0,
    Action: {
      copy: {
        src: "/a",
        owner: { user: { User: {} }, group: { User: { byName: { name: "g" } } } },
        mode: -1,
        include_patterns: ["*"],
      },
    },
  });
  assert.deepEqual(second, { input: -1, secondaryInput: -1, output: -1, Action: { mkfile: { data: "AQ==" } } });
  assert.deepEqual(third, { input: 0, secondaryInput: 0, output: 0, Action: {} });
  assert.deepEqual((opJson(op) as { platform: object }).platform, { Architecture: "amd64", OS: "linux" });
});
