import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { BuildHistoryEvent, type BuildHistoryRecord, BuildHistoryRequest } from "../../../src/api/gen/control.ts";
import { FileAction, scratch } from "../../../src/llb/builder/index.ts";
import { type BuildClient, directoryOutput, fileOutput, pushOutput, Sandbox } from "../../helpers/sandbox/index.ts";

interface Descriptor {
  readonly digest: string;
  readonly platform?: { readonly os: string };
}

// biome-ignore lint/suspicious/noExplicitAny: documents of several formats
type Json = any;

describe("attestations", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let outputs = 0;
  const outputPath = () => join(sandbox.root, `output-${outputs++}`);

  before(async () => {
    sandbox = await Sandbox.start({ standalone: true });
    client = await sandbox.connect();
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  /** The statements in an OCI archive, and the image they are on. */
  function statements(archive: string): { readonly manifest: Descriptor; readonly statements: readonly Json[] } {
    const read = (path: string): Json => JSON.parse(execFileSync("tar", ["-xOf", archive, path], { encoding: "utf8" }));
    const blob = ({ digest }: Descriptor) => read(`blobs/${digest.replace(":", "/")}`);
    const { manifests } = blob(read("index.json").manifests[0]);
    const [manifest, attached] = manifests;
    assert.equal(manifests.length, 2);
    assert.equal(attached.platform.os, "unknown");
    return { manifest, statements: blob(attached).layers.map(blob) };
  }

  /** Of the build that began last. */
  async function lastRecord(): Promise<BuildHistoryRecord> {
    await using call = client.grpc.open("/moby.buildkit.v1.Control/ListenBuildHistory");
    const request = BuildHistoryRequest.fromPartial({ EarlyExit: true, Limit: 1 });
    await call.send(BuildHistoryRequest.encode(request).finish());
    call.closeSend();
    for await (const message of call.messages) {
      const { record } = BuildHistoryEvent.decode(message);
      if (record !== undefined) return record;
    }
    throw new Error("there are no records");
  }

  it("tell what a Dockerfile build was made from, and nothing secret", async () => {
    const archive = outputPath();
    await client.build({
      dockerfile: `FROM ${sandbox.image()}
ARG SECRET_LOOKING
RUN --network=none --mount=type=secret,id=token [ "$(wc -c < /run/secrets/token)" = 12 ]
COPY a /a
`,
      context: { a: "1" },
      secrets: { token: "hidden-value" },
      options: { "attest:provenance": "mode=max,builder-id=http://b", "build-arg:SECRET_LOOKING": "x" },
      outputs: [fileOutput("oci", archive, { name: "example.com/app:1" })],
    });
    const found = statements(archive);
    const [statement] = found.statements;
    assert.equal(statement.predicateType, "https://slsa.dev/provenance/v1");
    const [subject] = statement.subject;
    assert.match(subject.name, /^pkg:docker\/example\.com\/app@1\?platform=linux%2F/);
    assert.equal(`sha256:${subject.digest.sha256}`, found.manifest.digest);
    const { buildDefinition, runDetails } = statement.predicate;
    assert.equal(buildDefinition.resolvedDependencies.length, 1);
    assert.match(buildDefinition.resolvedDependencies[0].digest.sha256, /^[0-9a-f]{64}$/);
    const { request } = buildDefinition.externalParameters;
    assert.deepEqual(request.secrets, [{ id: "token", optional: true }]);
    assert.deepEqual(
      request.locals.map(({ name }: { name: string }) => name),
      ["context", "dockerfile"],
    );
    assert.equal(request.args["build-arg:SECRET_LOOKING"], "x");
    assert.equal(runDetails.builder.id, "http://b");
    const { source, layers } = runDetails.metadata.buildkit_metadata;
    assert.match(Buffer.from(source.infos[0].data, "base64").toString(), /^FROM /);
    assert.ok(Object.values(layers).length >= 2);
    assert.doesNotMatch(JSON.stringify(statement), /hidden-value/);
  });

  it("are the same from a result that was there already", async () => {
    const build = async () => {
      const archive = outputPath();
      await client.build({
        dockerfile: `FROM ${sandbox.image()}\nRUN echo again > /again\n`,
        options: { "attest:provenance": "mode=max" },
        outputs: [fileOutput("oci", archive)],
      });
      const [{ predicate }] = statements(archive).statements;
      return predicate;
    };
    const [first, second] = [await build(), await build()];
    assert.deepEqual(
      second.buildDefinition.resolvedDependencies,
      first.buildDefinition.resolvedDependencies,
      "what the cache gave was made from the same",
    );
    assert.deepEqual(
      second.runDetails.metadata.buildkit_metadata.layers,
      first.runDetails.metadata.buildkit_metadata.layers,
    );
    assert.notEqual(second.runDetails.metadata.invocationId, first.runDetails.metadata.invocationId);
  });

  it("list the contents of results, whoever made them", async () => {
    const statement = JSON.stringify({
      _type: "https://in-toto.io/Statement/v1",
      predicateType: "https://spdx.dev/Document",
      predicate: { spdxVersion: "SPDX-2.3", name: "scan", files: [{ fileName: "/greeting" }] },
    });
    const scanner = sandbox.image("scanner:1");
    await client.build({
      dockerfile: `FROM ${sandbox.image()}
COPY statement /statement
CMD ["sh", "-c", "[ -e $BUILDKIT_SCAN_SOURCE/greeting ] && cp /statement $BUILDKIT_SCAN_DESTINATION/sbom.spdx.json"]
`,
      context: { statement },
      outputs: [pushOutput(scanner)],
    });
    const state = scratch().file(FileAction.none.mkfile("/greeting", 0o600, new TextEncoder().encode("hello")));
    const options = { "attest:sbom": `generator=${scanner}` };
    const builds = [{ state }, { dockerfile: "FROM scratch\nCOPY greeting /\n", context: { greeting: "hello" } }];
    for (const build of builds) {
      const archive = outputPath();
      await client.build({ ...build, options, outputs: [fileOutput("oci", archive)] });
      const [sbom] = statements(archive).statements;
      assert.equal(sbom.predicate.name, "scan");
      assert.match(sbom.predicate.files[0].comment, /^layerID: sha256:/);
    }
  });

  it("lie beside exported files", async () => {
    const path = outputPath();
    await client.build({
      dockerfile: "FROM scratch\nCOPY . /\n",
      context: { "d/f": "1" },
      options: { "attest:provenance": "mode=min" },
      outputs: [directoryOutput(path)],
    });
    const { subject, predicate } = JSON.parse(await readFile(join(path, "provenance.json"), "utf8"));
    assert.deepEqual(
      subject.map(({ name }: { name: string }) => name),
      ["d/f"],
    );
    assert.equal(predicate.buildDefinition.internalParameters.buildConfig, undefined);
  });

  it("are in the record of each build, whatever was asked for", async () => {
    await client.build({ dockerfile: "FROM scratch\nCOPY a /\n", context: { a: "recorded" } });
    const attestations = (await lastRecord()).Result?.Attestations ?? [];
    assert.deepEqual(
      attestations.map(({ annotations }) => annotations["in-toto.io/predicate-type"]),
      ["https://slsa.dev/provenance/v1"],
    );
  });

  it("may have to be complete", async () => {
    const build = client.build({
      dockerfile: "FROM scratch\nCOPY a /\n",
      context: { a: "1" },
      options: { "attest:provenance": "complete-materials=true" },
      outputs: [fileOutput("oci", outputPath())],
    });
    await assert.rejects(build, /provenance materials are incomplete[\s\S]*- context/);
  });
});
