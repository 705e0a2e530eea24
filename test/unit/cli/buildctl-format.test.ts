import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseTemplate } from "../../../src/cli/buildctl/go-template.ts";
import { goDuration, goTimeText } from "../../../src/cli/buildctl/go-text.ts";
import { GoEnum, GoObject, type GoValue } from "../../../src/cli/buildctl/go-value.ts";
import { spaces, tabbed } from "../../../src/cli/buildctl/tab-writer.ts";

const item = (id: string, size: number, parents: readonly string[] = []) =>
  GoObject.struct({ id, size, parents: parents.length === 0 ? null : parents, inUse: size > 5 });
const list = [item("a", 3, ["x", "y"]), item("b", 7)];
const record = GoObject.message({
  type: new GoEnum("COMPLETE", 1),
  Ref: "r<1>",
  logs: GoObject.message({ media_type: "m", digest: "sha256:1", size: 0 }),
  attrs: GoObject.map({ b: "2", a: "1" }),
  none: null,
  empty: "",
});

describe("templates of --format", () => {
  const cases: readonly (readonly [template: string, value: GoValue, text: string])[] = [
    ["text", list, "text"],
    ["json", item("a", 3), '{"id":"a","size":3,"parents":null,"inUse":false}'],
    [
      "{{json .}}",
      record,
      '{"type":1,"Ref":"r<1>","logs":{"media_type":"m","digest":"sha256:1"},"attrs":{"a":"1","b":"2"}}',
    ],
    ["{{.Ref}} {{.Logs.MediaType}} {{.Type}} {{.None}}", record, "r<1> m COMPLETE <nil>"],
    ["{{range .}}{{.ID}}={{.Size}},{{end}}", list, "a=3,b=7,"],
    ["{{range .}}{{if .InUse}}used{{else if .Parents}}{{len .Parents}}{{else}}free{{end}};{{end}}", list, "2;used;"],
    ["{{range .}}x{{else}}none{{end}}", [], "none"],
    ["{{with .Empty}}x{{else}}y{{end}}{{with .Logs}}{{.Digest}}{{$.Ref}}{{end}}", record, "ysha256:1r<1>"],
    ["{{range .Attrs}}{{.}}{{end}}", record, "12"],
    ["a {{- .Ref -}} b{{/* comment }} */}}c", record, "ar<1>bc"],
    ['{{.Ref | json}}{{"}}" | len}}{{`|`}}', record, '"r<1>"2|'],
    ["{{not .Empty}}", record, "true"],
  ];
  for (const [template, value, text] of cases) {
    it(`renders ${template}`, () => assert.equal(parseTemplate(template)(value), text));
  }

  for (const [template, message] of [
    ["{{.Ref", /not closed/],
    ["{{range .}}", /\{\{end\}\} is missing/],
    ["{{end}}", /belongs to nothing/],
    ["{{printf .Ref}}", /function "printf" is not supported/],
    ["{{(.Ref)}}", /parentheses/],
    ["{{$x := .}}", /is not supported/],
    ["{{json . .}}", /json with 2 arguments/],
    ["{{.NoSuch}}", /there is no field "NoSuch"/],
    ["{{.None.X}}", /there is no field X in nothing/],
    ["{{.}}", /shown with json/],
    ["{{range .Ref}}{{end}}", /has no items/],
  ] as const) {
    it(`refuses ${template}`, () => {
      assert.throws(() => parseTemplate(template)(record), { name: "UsageError", message });
    });
  }
});

describe("tables", () => {
  it("are set as Go's tabwriter sets them", () => {
    const lines = [
      ["ID", "SIZE", "LAST"],
      ["a-long-name", "1", ""],
      ["Labels:"],
      ["", "x:", "y"],
      ["", "longer-than-eight:", "z"],
    ];
    assert.equal(tabbed(lines), "ID\t\tSIZE\tLAST\na-long-name\t1\t\nLabels:\n\tx:\t\t\ty\n\tlonger-than-eight:\tz\n");
    assert.equal(
      tabbed(
        [
          ["A:", "1"],
          ["Long:", "2"],
        ],
        spaces,
      ),
      "A:    1\nLong: 2\n",
    );
    assert.equal(tabbed([]), "");
  });

  it("have times and spans of time as Go prints them", () => {
    assert.equal(goTimeText({ seconds: 1_767_323_045n, nanos: 500_000_000 }), "2026-01-02 03:04:05.5 +0000 UTC");
    assert.deepEqual(
      [172_800n, 61n, 3n].map((seconds) => goDuration(seconds * 1_000_000_000n)),
      ["48h0m0s", "1m1s", "3s"],
    );
  });
});
