import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { Definition, NetMode, Op, type OpMetadata, type SourceOp } from "../../../src/api/gen/ops.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { normalizePlatform } from "../../../src/core/values/platform.ts";
import {
  assembleDefinition,
  encodeOp,
  loadDefinition,
  requiredEntitlements,
  sourceOps,
} from "../../../src/llb/definition/index.ts";

/** Definitions which BuildKit v0.32.2 refuses, with its texts. */
const refused: readonly { readonly name: string; readonly definition: string; readonly error: string }[] = JSON.parse(
  readFileSync(new URL("../../fixtures/llb/definition-errors.json", import.meta.url), "utf8"),
);

const source = (identifier: string, attrs: Record<string, string> = {}) =>
  Op.fromPartial({ op: { $case: "source", value: { identifier, attrs } } });
const over = (inputs: readonly { readonly digest: string }[], op: NonNullable<Op["op"]>) =>
  Op.fromPartial({ inputs: inputs.map(({ digest }) => ({ digest, index: 0 })), op });
const exec = (args: string[], more: { network?: NetMode } = {}): NonNullable<Op["op"]> =>
  Op.fromPartial({
    op: { $case: "exec", value: { meta: { args, cwd: "/" }, mounts: [{ input: 0, dest: "/", output: 0 }], ...more } },
  }).op as NonNullable<Op["op"]>;
const file = (action: "rm" | "mkdir", path: string): NonNullable<Op["op"]> =>
  Op.fromPartial({
    op: { $case: "file", value: { actions: [{ action: { $case: action, value: { path } as never } }] } },
  }).op as NonNullable<Op["op"]>;

describe("loadDefinition", () => {
  for (const { name, definition, error } of refused) {
    it(`refuses ${name} as BuildKit does`, () => {
      const decoded = Definition.decode(Buffer.from(definition, "base64"));
      assert.throws(
        () => loadDefinition(decoded),
        (thrown) => {
          assert.ok(thrown instanceof BuildError);
          assert.equal(thrown.message, error);
          return true;
        },
      );
    });
  }

  it("builds the graph with names, options and platforms, whatever the order of ops", () => {
    const image = encodeOp({
      ...source("docker-image://a"),
      platform: { Architecture: "x86_64", OS: "Linux", Variant: "", OSVersion: "", OSFeatures: [] },
    });
    const step = encodeOp(over([image], exec(["a", "b"])));
    const made = encodeOp(over([], file("mkdir", "/x")));
    const merged = encodeOp(over([step, made], { $case: "merge", value: { inputs: [{ input: 0 }, { input: 1 }] } }));
    const diff = encodeOp(over([merged], { $case: "diff", value: { lower: { input: -1 }, upper: { input: 0 } } }));
    const definition = assembleDefinition({
      ops: [
        diff,
        merged,
        { ...made, metadata: { description: { "llb.customname": "mine" }, ignoreCache: true } },
        { ...step, metadata: { exportCache: { Value: false }, progressGroup: { id: "g", name: "n", weak: true } } },
        image,
      ],
      wanted: { digest: diff.digest, index: 2 },
    });
    const arm = normalizePlatform({ os: "linux", architecture: "arm64" });
    const { vertex, index } = loadDefinition(definition, { defaultPlatform: arm });
    assert.equal(index, 2);
    assert.equal(vertex.name, "diff scratch -> (merge (a b, mine))");
    const merge = vertex.inputs[0]?.vertex;
    const [first, second] = merge?.inputs ?? [];
    assert.deepEqual(first?.vertex.options, {
      ignoreCache: false,
      description: {},
      exportCache: false,
      progressGroup: { id: "g", name: "n", weak: true },
    });
    assert.equal(second?.vertex.options.ignoreCache, true);
    assert.deepEqual(second?.vertex.payload.platform, arm);
    const loaded = first?.vertex.inputs[0]?.vertex;
    assert.equal(loaded?.digest, image.digest);
    assert.equal(loaded?.payload.platform.architecture, "amd64");
    assert.deepEqual(loaded?.payload.bytes, image.bytes);
  });

  it("loads a very long chain", () => {
    let last = encodeOp(source("docker-image://a"));
    const ops = [last];
    for (let i = 0; i < 20_000; i++) {
      last = encodeOp(over([last], file("rm", `/${i}`)));
      ops.push(last);
    }
    const { vertex } = loadDefinition(assembleDefinition({ ops, wanted: { digest: last.digest, index: 0 } }));
    assert.equal(vertex.name, "rm /19999");
  });

  it("puts sources in that a policy has changed, and changes what lies above", () => {
    const from = encodeOp(source("docker-image://a"));
    const other = encodeOp(source("docker-image://b"));
    const step = encodeOp(over([from], exec(["x"])));
    const definition = assembleDefinition({
      ops: [{ ...from, metadata: { ignoreCache: true } }, step],
      wanted: { digest: step.digest, index: 0 },
    });
    assert.deepEqual(
      sourceOps(definition).map(({ digest }) => digest),
      [from.digest],
    );
    const changed: SourceOp = { identifier: "docker-image://b", attrs: {} };
    const { vertex } = loadDefinition(definition, { sources: new Map([[from.digest, changed]]) });
    assert.equal(vertex.digest, encodeOp(over([other], exec(["x"]))).digest);
    assert.equal(vertex.inputs[0]?.vertex.digest, other.digest);
    assert.equal(vertex.inputs[0]?.vertex.options.ignoreCache, true);
    assert.deepEqual(vertex.payload.op.inputs, [{ digest: other.digest, index: 0 }]);
    assert.equal(vertex.payload.definedAs, step.digest);
    assert.equal(vertex.inputs[0]?.vertex.payload.definedAs, from.digest);
    assert.equal(loadDefinition(definition).vertex.payload.definedAs, undefined);
  });

  it("refuses capabilities that nobody or only we do not know, and what the caller refuses", () => {
    const op = encodeOp(source("docker-image://a"));
    const load = (metadata: Partial<OpMetadata>, check?: (op: Op) => void) =>
      loadDefinition(
        assembleDefinition({ ops: [{ ...op, metadata }], wanted: { digest: op.digest, index: 0 } }),
        check === undefined ? {} : { check },
      );
    assert.throws(
      () => load({ caps: { "golden.unknown": false } }),
      /^BuildError: failed to load LLB: unknown API capability golden.unknown$/,
    );
    assert.throws(
      () => load({ caps: { "exec.meta.network.proxy": true } }),
      /requested experimental feature exec.meta.network.proxy {2}is not supported by build server$/,
    );
    assert.equal(load({ caps: { "source.image": true } }).vertex.name, "docker-image://a");
    const refuse = () => {
      throw new Error("network.host is not allowed");
    };
    assert.throws(() => load({}, refuse), /^BuildError: failed to load LLB: network.host is not allowed$/);
  });

  it("names the entitlements of an op", () => {
    assert.deepEqual(requiredEntitlements(over([], exec(["x"], { network: NetMode.HOST }))), ["network.host"]);
    assert.deepEqual(requiredEntitlements(source("docker-image://a")), []);
  });
});

describe("encodeOp", () => {
  it("writes maps in order of their keys", () => {
    const one = encodeOp(source("git://x", { "git.b": "1", "git.a": "2" }));
    const two = encodeOp(source("git://x", { "git.a": "2", "git.b": "1" }));
    assert.equal(one.digest, two.digest);
    const decoded = Op.decode(one.bytes).op;
    assert.ok(decoded?.$case === "source");
    assert.deepEqual(Object.keys(decoded.value.attrs), ["git.a", "git.b"]);
  });
});
