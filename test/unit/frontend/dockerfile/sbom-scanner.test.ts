import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Op } from "../../../../src/api/gen/ops.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import { parseSbomConfig } from "../../../../src/frontend/dockerfile/context/attestations.ts";
import { DockerfileFrontend } from "../../../../src/frontend/index.ts";
import { definitionHead } from "../../../../src/llb/builder/index.ts";
import { FakeLlbBridge } from "../../../helpers/fake-llb-bridge.ts";

const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const plainDigest = "sha256:5813cc8cd45675caab65a02444a68d35c441ddc5c703ce3cd84db5f2e47f0dde";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "sbom-scanner-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function build(dockerfile: string, opts: Readonly<Record<string, string>>, cmd: readonly string[] = ["sh"]) {
  await writeFile(join(root, "Dockerfile"), dockerfile);
  const config = {
    os: "linux",
    architecture: "amd64",
    rootfs: { diff_ids: [sha256("")] },
    config: { Env: [path], Cmd: cmd },
  };
  const bridge = new FakeLlbBridge({
    locals: { dockerfile: root, context: root },
    resolve: (source) => ({
      source,
      image: { digest: plainDigest as ReturnType<typeof sha256>, config: Buffer.from(JSON.stringify(config)) },
    }),
  });
  const result = await new DockerfileFrontend().solve(bridge, opts, {}, new AbortController().signal);
  return { bridge, result };
}

describe("SbomScanner", () => {
  const dockerfile =
    "FROM plain:gdf AS x\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nWORKDIR /k\nFROM plain:gdf\nCOPY --from=x /data /q\n";
  const opts = { "no-cache": "", "attest:sbom": "type=sbom,foo=bar,generator=shell:gdf" };

  it("scans the result and the stages that ask for it, in the very op that BuildKit runs", async () => {
    const { bridge, result } = await build(dockerfile, opts);
    const [attestation, ...others] = result.attestations?.get("linux/amd64") ?? [];
    assert.equal(others.length, 0);
    assert.equal(attestation?.inTotoPredicateType, "https://spdx.dev/Document");
    assert.deepEqual(
      Object.entries(attestation?.metadata ?? {}).map(([key, value]) => [key, Buffer.from(value).toString()]),
      [
        ["reason", "sbom"],
        ["sbom-core", "sbom"],
      ],
    );
    const definition = bridge.solves.at(-1)?.definition;
    const head = definition && definitionHead(definition);
    // Recorded from BuildKit v0.32.2.
    assert.equal(head, "sha256:51cd41b6ad26268c1d11fac208241e15b4c0ba59f4f765f9c22b530bb1054916");
    const metadata = definition?.metadata[head ?? ""];
    assert.equal(
      metadata?.description["llb.customname"],
      "[linux/amd64] generating sbom using docker.io/library/shell:gdf",
    );
    assert.equal(metadata?.ignoreCache, true);
  });

  it("scans the context where an ARG says so", async () => {
    const mountsOf = async (dockerfile: string, more: Readonly<Record<string, string>>) => {
      const { bridge } = await build(dockerfile, { ...opts, ...more });
      const scan = Op.decode(bridge.solves.at(-1)?.definition?.def.at(-2) ?? new Uint8Array()).op;
      return scan?.$case === "exec" ? scan.value.mounts.map(({ dest }) => dest) : [];
    };
    const mounts = ["/", "/run/out/", "/run/src/core/sbom", "/tmp"];
    const dockerfile = "FROM scratch\nCOPY a /\n";
    const buildArg = { "build-arg:BUILDKIT_SBOM_SCAN_CONTEXT": "1" };
    assert.deepEqual(await mountsOf(dockerfile, buildArg), mounts);
    const withContext = [...mounts.slice(0, 3), "/run/src/extras/sbom-context", "/tmp"];
    assert.deepEqual(await mountsOf(`ARG BUILDKIT_SBOM_SCAN_CONTEXT\n${dockerfile}`, buildArg), withContext);
  });

  it("needs a scanner with a command", async () => {
    await assert.rejects(build(dockerfile, opts, []), {
      message: "scanner docker.io/library/shell:gdf does not have cmd",
    });
  });
});

describe("parseSbomConfig()", () => {
  it("has a default scanner", () => {
    const config = parseSbomConfig({ "build-arg:BUILDKIT_ATTEST_SBOM": "", "attest:provenance": "mode=max" });
    assert.deepEqual(config, {
      generator: "docker.io/docker/buildkit-syft-scanner:stable-1",
      parameters: new Map(),
    });
    assert.equal(parseSbomConfig({ "attest:provenance": "" }), undefined);
  });

  it("refuses unknown attestations", () => {
    assert.throws(() => parseSbomConfig({ "attest:x": "" }), { message: 'unknown attestation type "x"' });
    assert.throws(
      () => parseSbomConfig({ "attest:sbom": "generator=A:b:c" }),
      /^BuildError: failed to parse sbom scanner/,
    );
  });
});
