import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Op } from "../../../src/api/gen/ops.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import {
  DeferredOutput,
  definitionHead,
  diff,
  FileAction,
  image,
  local,
  marshalState,
  merge,
  type SourceMap,
  State,
  scratch,
} from "../../../src/llb/builder/index.ts";

const mkdir = (path: string) => FileAction.none.mkdir(path, 0o755);

describe("marshalState()", () => {
  it("gives an empty definition for scratch", () => {
    assert.deepEqual(marshalState(scratch()).def, []);
    assert.equal(definitionHead(marshalState(scratch())), undefined);
  });

  it("writes a chain as long as it likes", () => {
    let state = scratch().file(mkdir("/0"));
    for (let i = 1; i < 20_000; i++) state = state.file(mkdir(`/${i}`));
    assert.equal(marshalState(state).def.length, 20_001);
  });

  it("writes equal ops once and merges their metadata", () => {
    const one = image("a", { customName: "first", description: { x: "1" } });
    const two = image("a", { customName: "second", ignoreCache: true });
    const definition = marshalState(one.file(FileAction.none.copy(two, "/x", "/y")));
    assert.equal(definition.def.length, 3);
    const metadata = definition.metadata[sha256(definition.def[0] ?? "")];
    assert.deepEqual(metadata?.description, { "llb.customname": "second", x: "1" });
    assert.equal(metadata?.ignoreCache, true);
    const pointer = definition.metadata[sha256(definition.def[2] ?? "")];
    assert.deepEqual(Object.keys(pointer?.caps ?? {}), [
      "constraints",
      "meta.description",
      "meta.ignorecache",
      "platform",
    ]);
  });

  it("collects source locations, each file once", () => {
    const file = (): SourceMap => ({ filename: "f", language: "L", data: Buffer.from("x") });
    const at = (line: number) => [
      { sourceMap: file(), ranges: [{ start: { line, character: 0 }, end: { line, character: 0 } }] },
    ];
    const definition = marshalState(image("a", { locations: at(1) }).file(mkdir("/a"), { locations: at(2) }));
    assert.equal(definition.Source?.infos.length, 1);
    const lines = definition.def
      .slice(0, 2)
      .map((op) => definition.Source?.locations[sha256(op)]?.locations[0]?.ranges[0]?.start?.line);
    assert.deepEqual(lines, [1, 2]);
  });

  it("asks a deferred output once, when marshalling", () => {
    let asked = 0;
    const late = State.of(
      new DeferredOutput(() => {
        asked++;
        return local("context").output;
      }),
    );
    const state = scratch().file(FileAction.none.copy(late, "/a", "/a").copy(late, "/b", "/b"));
    assert.equal(asked, 0);
    const definition = marshalState(state, { localUniqueId: "u" });
    assert.equal(asked, 1);
    const source = Op.decode(definition.def[0] ?? new Uint8Array()).op;
    assert.deepEqual(source?.$case === "source" && source.value.attrs, { "local.unique": "u" });
  });

  it("treats a deferred output without target as an empty file system", () => {
    const state = scratch().file(FileAction.none.copy(State.of(new DeferredOutput(() => undefined)), "/a", "/b"));
    const op = Op.decode(marshalState(state).def[0] ?? new Uint8Array());
    assert.deepEqual(op.inputs, []);
    assert.equal(op.op?.$case === "file" && op.op.value.actions[0]?.secondaryInput, -1);
  });
});

describe("State", () => {
  it("keeps the settings of a stage and puts a variable that is set again last", () => {
    const before = scratch().withEnv("A", "1").withEnv("B", "2");
    const after = before.withEnv("A", "3").file(mkdir("/x"));
    assert.deepEqual(after.env.toArray(), ["B=2", "A=3"]);
    assert.deepEqual(before.env.toArray(), ["A=1", "B=2"]);
    assert.deepEqual(after.env.delete("B").toArray(), ["A=3"]);
  });

  it("goes below the current directory with a relative one", () => {
    assert.equal(scratch().withDir("a").withDir("../b").dir, "/b");
  });

  it("has no output for mounts which cannot be written to", () => {
    const exec = (mount: object) => scratch().runWithMount({ args: ["x"], mounts: [{ target: "/m", ...mount }] }, "/m");
    assert.throws(() => exec({ noOutput: true }), /mount \/m can't be used as a parent/);
    const source = image("a");
    assert.equal(exec({ source, readonly: true }).mount.output, source.output);
  });

  it("refuses a run without arguments and an empty file action", () => {
    assert.throws(() => marshalState(scratch().run({ args: [] })), /arguments are required/);
    assert.throws(() => scratch().file(FileAction.none), /action is required/);
  });
});

describe("merge() and diff()", () => {
  it("need no op where there is nothing to stack or compare", () => {
    const state = image("a");
    assert.equal(merge([scratch(), state]), state);
    assert.equal(merge([scratch()]).output, undefined);
    assert.equal(diff(scratch(), state), state);
    assert.equal(diff(scratch(), scratch()).output, undefined);
  });
});
