import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MountType, NetMode, Op } from "../../../../src/api/gen/ops.ts";
import { Capture } from "../../../../src/coordinator/provenance/capture.ts";
import { captureEdge } from "../../../../src/coordinator/provenance/capture-edge.ts";
import { materialsOf } from "../../../../src/coordinator/provenance/materials.ts";
import { redactUrl } from "../../../../src/coordinator/provenance/redact-url.ts";
import type { Edge, Op as SolverOp, Vertex } from "../../../../src/core/seams/op.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import type { Ref } from "../../../../src/core/values/layer.ts";
import { parsePlatform } from "../../../../src/core/values/platform.ts";

const amd = parsePlatform("linux/amd64");
const arm = parsePlatform("linux/arm64");
const digest = sha256("x");
const hex = digest.slice("sha256:".length);
const image = (reference: string, platform = amd) => ({ reference, platform, digest, local: false });

/** Visits vertices made of these ops; each op has the pin it is given with, or was never needed. */
function capture(...entries: (readonly [Parameters<typeof Op.fromPartial>[0], pin?: string | null])[]): Capture {
  const edge = {} as Edge;
  return captureEdge(edge, {
    walk: (start, visit) => {
      assert.equal(start, edge);
      for (const [op, pin] of entries) {
        const vertex = { payload: { op: Op.fromPartial(op), platform: amd } } as unknown as Vertex;
        visit(vertex, pin === null ? undefined : ({ pin } as SolverOp<Ref>));
      }
    },
  });
}
const source = (identifier: string, attrs: Record<string, string> = {}) => ({
  op: { $case: "source" as const, value: { identifier, attrs } },
});

describe("Capture", () => {
  it("has each image once for a platform, and not by digest what it has by tag", () => {
    const all = new Capture();
    const reference = "docker.io/library/b:1";
    for (const one of [image(`${reference}@${digest}`), image(reference), image(reference), image(reference, arm)]) {
      all.addImage(one);
    }
    all.addImage(image(`docker.io/library/a@${digest}`));
    assert.deepEqual(
      all.images.map((one) => [one.reference, one.platform?.architecture]),
      [
        [`docker.io/library/a@${digest}`, "amd64"],
        [reference, "amd64"],
        [reference, "arm64"],
      ],
    );
  });

  it("needs a secret when one step does", () => {
    const [all, other] = [new Capture(), new Capture()];
    all.addSecret({ id: "s", optional: true });
    all.addSsh({ id: "", optional: true });
    other.addSecret({ id: "s", optional: false });
    other.addSecret({ id: "a", optional: true });
    other.networkAccess = true;
    all.merge(other);
    all.addSecret({ id: "s", optional: true });
    assert.deepEqual(all.secrets, [
      { id: "a", optional: true },
      { id: "s", optional: false },
    ]);
    assert.deepEqual(all.ssh, [{ id: "default", optional: true }]);
    assert.equal(all.networkAccess, true);
    assert.equal(all.isComplete, true);
  });
});

describe("captureEdge()", () => {
  it("names the bundle that was read in place of a repository", () => {
    const commit = "1".repeat(40);
    const attrs = (scheme: string) => ({
      "git.fullurl": "https://host/r.git",
      "git.checksum": commit,
      ...(scheme === "" ? {} : { "git.bundle": `${scheme}://store/name@${digest}` }),
    });
    const schemes = ["", "docker-image+blob", "oci-layout+blob", "oci-layout+blob"];
    const all = capture(...schemes.map((scheme) => [source("git://host/r.git#main", attrs(scheme)), commit] as const));
    const repository = { uri: "https://host/r.git#main", digest: { sha1: commit } };
    const bundle = (type: string) => ({
      uri: `pkg:${type}/store/name@latest?ref_type=bundle&vcs_url=https:%2F%2Fhost%2Fr.git%23main`,
      digest: { sha256: hex },
    });
    assert.deepEqual(materialsOf(all), [repository, repository, bundle("docker"), repository, bundle("oci")]);
  });

  it("takes the pins of sources and hides credentials", () => {
    const commit = "1".repeat(40);
    const all = capture(
      [source("docker-image://docker.io/library/a:1"), digest],
      [source(`oci-layout://local/b@${digest}`), digest],
      [source(`docker-image+blob://docker.io/library/c@${digest}`), digest],
      [source("https://user:word@host/file?x=1"), digest],
      [
        source("git://host/repo.git#main", { "git.fullurl": "https://u:p@host/repo.git", "git.authtokensecret": "T" }),
        commit,
      ],
      [source("docker-image://docker.io/library/unused:1"), null],
      [source("docker-image://docker.io/library/unresolved:1")],
    );
    assert.deepEqual(all.git, [{ url: "https://xxxxx:xxxxx@host/repo.git#main", commit }]);
    assert.deepEqual(all.secrets, [{ id: "T", optional: true }]);
    assert.equal(all.isComplete, true);
    assert.equal(all.networkAccess, false);
    assert.deepEqual(
      materialsOf(all).map(({ uri, digest: set }) => [uri, Object.keys(set).join()]),
      [
        ["pkg:docker/a@1?platform=linux%2Famd64", "sha256"],
        [`pkg:oci/local/b?digest=${digest}&platform=linux%2Famd64`, "sha256"],
        [`pkg:docker/c?digest=${digest}&ref_type=blob`, "sha256"],
        ["https://xxxxx:xxxxx@host/repo.git#main", "sha1"],
        ["https://xxxxx:xxxxx@host/file?x=1", "sha256"],
      ],
    );
    assert.equal(materialsOf(all)[0]?.digest["sha256"], hex);
  });

  it("is incomplete with directories of the client or nested definitions", () => {
    assert.deepEqual(capture([source("local://context")]).locals, ["context"]);
    assert.equal(capture([source("local://context")]).isComplete, false);
    const nested = capture([{ op: { $case: "build", value: {} } }]);
    assert.equal(nested.isComplete, false);
    assert.deepEqual(nested.locals, []);
  });

  it("sees what steps are lent and whether they reach the network", () => {
    const exec = (network: NetMode) => ({
      op: {
        $case: "exec" as const,
        value: {
          network,
          mounts: [
            { mountType: MountType.SECRET, secretOpt: { ID: "file" } },
            { mountType: MountType.SSH, SSHOpt: { ID: "agent", optional: true } },
          ],
          secretenv: [{ ID: "env", name: "E", optional: true }],
        },
      },
    });
    const all = capture([exec(NetMode.NONE)]);
    assert.deepEqual(all.secrets, [
      { id: "env", optional: true },
      { id: "file", optional: false },
    ]);
    assert.deepEqual(all.ssh, [{ id: "agent", optional: true }]);
    assert.equal(all.networkAccess, false);
    assert.equal(capture([exec(NetMode.UNSET)]).networkAccess, true);
  });
});

it("redactUrl() hides user and password, and leaves what is no URL", () => {
  for (const [text, expected] of [
    ["https://user:pass@host/p", "https://xxxxx:xxxxx@host/p"],
    ["https://token@host/p", "https://xxxxx@host/p"],
    ["https://:pass@host", "https://:xxxxx@host"],
    ["https://host/a@b", "https://host/a@b"],
    ["git@github.com:a/b.git", "git@github.com:a/b.git"],
    ["./dir", "./dir"],
  ] as const) {
    assert.equal(redactUrl(text), expected);
  }
});
