import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { ExecOp, FileAction, type Mount, MountContentCache, MountType, Op } from "../../../src/api/gen/ops.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import { normalizePlatform } from "../../../src/core/values/platform.ts";
import { opCacheKey } from "../../../src/llb/cache-keys/index.ts";

interface Row {
  readonly name: string;
  readonly op: string;
  readonly output: number;
  readonly record: string;
  readonly selectors: readonly (readonly string[])[];
}

/** Records which BuildKit v0.32.2 exported for these ops. An empty selector is a content link. */
const rows: readonly Row[] = JSON.parse(
  readFileSync(new URL("../../fixtures/llb/op-cache-keys.json", import.meta.url), "utf8"),
);
const amd64 = normalizePlatform({ os: "linux", architecture: "amd64" });

function platformOf(op: Op) {
  if (op.platform === undefined) return amd64;
  return normalizePlatform({
    os: op.platform.OS,
    architecture: op.platform.Architecture,
    variant: op.platform.Variant,
  });
}

describe("opCacheKey", () => {
  for (const { name, op: encoded, output, record, selectors } of rows) {
    it(`is BuildKit's for ${name} (${record.slice(7, 15)})`, () => {
      const op = Op.decode(Buffer.from(encoded, "base64"));
      const { digest, deps } = opCacheKey(op, platformOf(op));
      assert.equal(sha256(`${digest}@${output}`), record);
      for (const [input, dep] of deps.entries()) {
        const exported = selectors[input];
        if (exported === undefined) continue;
        // Inputs that only a session knows are linked by content alone.
        if (exported.some((selector) => selector !== "")) assert.ok(exported.includes(dep.selectorDigest ?? ""));
        if (dep.contentSelectors !== undefined) assert.ok(exported.includes(""), "a content link is exported");
        if (dep.selectorDigest !== undefined) assert.equal(exported.includes(""), dep.contentSelectors !== undefined);
      }
    });
  }

  const exec = (mounts: readonly Partial<Mount>[], inputs = 2) =>
    Op.fromPartial({
      inputs: Array.from({ length: inputs }, (_, i) => ({ digest: sha256(`${i}`), index: 0 })),
      op: { $case: "exec", value: ExecOp.fromPartial({ meta: { args: ["true"], cwd: "/" }, mounts: [...mounts] }) },
    });
  const root = { input: 0, dest: "/", output: 0 };

  it("hashes the content of what a mount selects, without what lies inside another", () => {
    const mounts = ["b/", "a", "a/x", "ab"].map((selector, i) => ({ input: 1, dest: `/m${i}`, output: -1, selector }));
    const [, dep] = opCacheKey(exec([root, ...mounts]), amd64).deps;
    assert.deepEqual(
      dep?.contentSelectors?.map(({ path, followLinks }) => [path, followLinks]),
      [
        ["/a", true],
        ["/ab", true],
        ["/b", true],
      ],
    );
    assert.equal(dep?.selectorDigest, sha256("/b\0/a\0/a/x\0/ab"));
  });

  it("takes content only where nothing else can get into a result", () => {
    const byContent = (mount: Partial<Mount>) =>
      opCacheKey(exec([root, { input: 1, dest: "/m", output: 1, selector: "s", ...mount }]), amd64).deps[1]
        ?.contentSelectors !== undefined;
    assert.equal(byContent({}), false);
    assert.equal(byContent({ output: -1 }), true);
    assert.equal(byContent({ readonly: true }), true);
    assert.equal(byContent({ selector: "" }), true);
    assert.equal(byContent({ selector: "", contentCache: MountContentCache.OFF }), false);
    assert.equal(byContent({ selector: "", mountType: MountType.TMPFS }), false);
    assert.throws(
      () => byContent({ contentCache: MountContentCache.ON }),
      /^BuildError: invalid mount cache content input:1 {2}selector:"s" {2}dest:"\/m" {2}output:1 {2}contentCache:ON$/,
    );
  });

  it("refuses a mount of an input that is not there", () => {
    assert.throws(
      () => opCacheKey(exec([root, { input: 5, dest: "/m", output: -1 }]), amd64),
      /^BuildError: invalid mountinput input:5 {2}dest:"\/m" {2}output:-1$/,
    );
  });

  it("refuses an owner from an input that is not there, and an op that is none", () => {
    const action = FileAction.fromPartial({
      input: -1,
      secondaryInput: -1,
      action: {
        $case: "mkfile",
        value: { path: "/x", owner: { user: { user: { $case: "byName", value: { name: "u", input: 3 } } } } },
      },
    });
    assert.throws(
      () => opCacheKey(Op.fromPartial({ op: { $case: "file", value: { actions: [action] } } }), amd64),
      /^BuildError: invalid input index 3 in file op with 0 inputs$/,
    );
    assert.throws(() => opCacheKey(Op.fromPartial({}), amd64), /^BuildError: no support for <nil>$/);
  });
});
