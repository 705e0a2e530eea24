import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CacheSharingOpt, Definition, MountType, NetMode, Op } from "../../../../../src/api/gen/ops.ts";
import { BuildError } from "../../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../../src/core/errors/code.ts";
import type { FrontendResult } from "../../../../../src/core/seams/llb-bridge.ts";
import { sha256 } from "../../../../../src/core/values/digest.ts";
import { lineRanges, withLocation } from "../../../../../src/frontend/dockerfile/dockerfile-error.ts";
import {
  convertLlbResult,
  describeSubrequests,
  lintResult,
  listTargets,
} from "../../../../../src/frontend/dockerfile/subrequests/index.ts";
import { sourceExcerpt } from "../../../../../src/frontend/dockerfile/subrequests/source-excerpt.ts";

const text = (answer: FrontendResult, key: string) => Buffer.from(answer.metadata.get(key) ?? []).toString();
const json = (answer: FrontendResult) => JSON.parse(text(answer, "result.json"));
const atLine = (line: number) => ({ ranges: [{ start: { line }, end: { line } }] });

const source = {
  filename: "Dockerfile",
  language: "Dockerfile",
  definition: undefined,
  data: Buffer.from("FROM scratch as b\n# x\nENV a b\n\n\nCMD x <&>\n"),
};
const base64 = source.data.toString("base64");

describe("frontend.lint", () => {
  const warnings = [
    { ruleName: "Second", description: "d", url: "", message: "two", location: lineRanges(6, 6) },
    { ruleName: "First", description: "", url: "https://e.x/", message: "one <&>", location: lineRanges(1, 1) },
  ];

  it("answers warnings in order of discovery as JSON", () => {
    const answer = lintResult(warnings, undefined, source);
    assert.deepEqual(json(answer), {
      warnings: [
        { ruleName: "Second", description: "d", detail: "two", location: atLine(6) },
        { ruleName: "First", url: "https://e.x/", detail: "one <&>", location: atLine(1) },
      ],
      sources: [{ filename: "Dockerfile", data: base64, language: "Dockerfile" }],
    });
    assert.match(text(answer, "result.json"), /^\{\n {2}"warnings": \[\n.*one \\u003c\\u0026\\u003e/s);
    assert.equal(text(answer, "result.statuscode"), "1");
    assert.equal(text(answer, "version"), "1.0.0");
  });

  it("answers them by line as text", () => {
    assert.equal(
      text(lintResult(warnings, undefined, source), "result.txt"),
      `
WARNING: First - https://e.x/
one <&>
Dockerfile:1
--------------------
   1 | >>> FROM scratch as b
   2 |     # x
   3 |     ENV a b
--------------------

WARNING: Second
two
Dockerfile:6
--------------------
   4 |     
   5 |     
   6 | >>> CMD x <&>
   7 |     
--------------------
`,
    );
  });

  it("tells what ended the conversion", () => {
    const error = withLocation(new BuildError(Code.Unknown, "bad"), lineRanges(2, 3));
    const answer = lintResult([], withLocation(error, lineRanges(3, 4)), source);
    assert.equal(json(answer).warnings, null);
    assert.deepEqual(json(answer).buildError, {
      message: "bad",
      location: { ranges: [2, 3, 4].map((line) => ({ start: { line }, end: { line } })) },
    });
    assert.equal(text(answer, "result.statuscode"), "1");
  });

  it("succeeds without warnings", () => {
    const answer = lintResult([], undefined, source);
    assert.equal(text(answer, "result.statuscode"), "0");
    assert.equal(text(answer, "result.txt"), "");
  });
});

describe("source excerpts", () => {
  const file = { ...source, data: Buffer.from("1\n2\n3\n4\n5\n6\n7") };
  const marked = (first: number, last: number) =>
    sourceExcerpt(file, lineRanges(first, last))
      .split("\n")
      .slice(2, -2)
      .map((line) => line.replace(/ +(\d) \| (>>>)? .*/, "$1$2"));

  it("shows lines around the marked ones", () => {
    assert.deepEqual(marked(4, 4), ["2", "3", "4>>>", "5", "6"]);
    assert.deepEqual(marked(3, 4), ["2", "3>>>", "4>>>", "5"]);
    assert.deepEqual(marked(7, 9), ["5", "6", "7>>>"]);
  });

  it("shows nothing for lines which are not there", () => {
    assert.equal(sourceExcerpt(file, lineRanges(8, 8)), "");
    assert.equal(sourceExcerpt(file, lineRanges(0, 0)), "");
    assert.equal(sourceExcerpt(file, []), "");
  });
});

describe("frontend.targets", () => {
  const targets = (dockerfile: string) => listTargets(Buffer.from(dockerfile));

  it("lists stages, the last one as default", () => {
    const answer = targets("# base is first\nFROM --platform=$P a:b AS base\nFROM base\n");
    assert.deepEqual(json(answer).targets, [
      { name: "base", description: "is first", base: "a:b", platform: "$P", location: atLine(2) },
      { default: true, base: "base", location: atLine(3) },
    ]);
    assert.equal(text(answer, "result.txt"), "TARGET    DESCRIPTION\nbase      is first\n(default) \n");
  });

  it("marks a named default", () => {
    assert.equal(text(targets("FROM a AS x\n"), "result.txt"), "TARGET      DESCRIPTION\nx (default) \n");
  });
});

describe("frontend.subrequests.describe", () => {
  it("lists what can be asked", () => {
    assert.equal(
      text(describeSubrequests(), "result.txt"),
      [
        "NAME                 VERSION DESCRIPTION",
        "outline              1.0.0   List all parameters current build target supports",
        "targets              1.0.0   List all targets current build supports",
        "subrequests.describe 1.0.0   List available subrequest types",
        "",
      ].join("\n"),
    );
    assert.deepEqual(json(describeSubrequests())[1], {
      name: "frontend.targets",
      version: "1.0.0",
      type: "rpc",
      description: "List all targets current build supports",
      opts: [],
      inputs: null,
      metadata: [
        { name: "result.json", description: "" },
        { name: "result.txt", description: "" },
      ],
      refs: null,
    });
  });
});

describe("frontend.convertllb", () => {
  it("writes ops as protobuf does and metadata as Go does", () => {
    const exec = Op.encode(
      Op.fromPartial({
        inputs: [{ digest: "sha256:00", index: 1 }],
        constraints: {},
        op: {
          $case: "exec",
          value: {
            meta: { args: ["/x"], cwd: "/" },
            network: NetMode.NONE,
            mounts: [
              { dest: "/" },
              {
                dest: "/c",
                input: -1,
                output: -1,
                mountType: MountType.CACHE,
                cacheOpt: { ID: "i", sharing: CacheSharingOpt.LOCKED },
              },
              { dest: "/t", input: -1, mountType: MountType.TMPFS, TmpfsOpt: { size: 5 } },
            ],
          },
        },
      }),
    ).finish();
    const file = Op.encode(
      Op.fromPartial({
        op: {
          $case: "file",
          value: {
            actions: [
              {
                secondaryInput: -1,
                action: {
                  $case: "mkfile",
                  value: {
                    path: "/f",
                    mode: 0o644,
                    data: Buffer.from("a\n"),
                    timestamp: -1n,
                    owner: { user: { user: { $case: "byID", value: 0 } } },
                  },
                },
              },
            ],
          },
        },
      }),
    ).finish();
    const local = Op.encode(
      Op.fromPartial({ op: { $case: "source", value: { identifier: "local://x", attrs: { a: "" } } } }),
    ).finish();
    const answer = convertLlbResult(
      Definition.fromPartial({
        def: [exec, file, local],
        metadata: {
          [sha256(exec)]: {
            ignoreCache: true,
            caps: { "exec.meta.base": true },
            progressGroup: { id: "g", weak: true },
          },
        },
        Source: {
          locations: { [sha256(exec)]: { locations: [{ ranges: lineRanges(2, 2) }] } },
          infos: [{ filename: "Dockerfile", data: Buffer.from("x") }],
        },
      }),
    );
    assert.deepEqual(json(answer), {
      def: {
        [sha256(exec)]: {
          inputs: [{ digest: "sha256:00", index: "1" }],
          constraints: {},
          exec: {
            meta: { args: ["/x"], cwd: "/" },
            network: "NONE",
            mounts: [
              { dest: "/" },
              {
                dest: "/c",
                input: "-1",
                output: "-1",
                mountType: "CACHE",
                cacheOpt: { ID: "i", sharing: "LOCKED" },
              },
              { dest: "/t", input: "-1", mountType: "TMPFS", TmpfsOpt: { size: "5" } },
            ],
          },
        },
        [sha256(file)]: {
          file: {
            actions: [
              {
                secondaryInput: "-1",
                mkfile: { path: "/f", mode: 420, data: "YQo=", timestamp: "-1", owner: { user: { byID: 0 } } },
              },
            ],
          },
        },
        [sha256(local)]: { source: { identifier: "local://x", attrs: { a: "" } } },
      },
      metadata: {
        [sha256(exec)]: {
          ignore_cache: true,
          caps: { "exec.meta.base": true },
          progress_group: { id: "g", weak: true },
        },
      },
      source: {
        locations: { [sha256(exec)]: { locations: [atLine(2)] } },
        infos: [{ filename: "Dockerfile", data: "eA==" }],
      },
    });
  });
});
