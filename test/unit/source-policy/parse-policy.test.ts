import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MatchType } from "../../../src/api/gen/sourcepolicy.ts";
import { parsePolicy } from "../../../src/source-policy/index.ts";
import { convert, deny, matches, policy, select } from "./rules.ts";

describe("parsePolicy()", () => {
  it("reads rules", () => {
    const text = JSON.stringify({
      version: 1,
      rules: [
        { action: "DENY", selector: { identifier: "docker-image://*" }, comment: "ignored" },
        {
          Action: 2,
          Selector: {
            Identifier: "x",
            match_type: "REGEX",
            constraints: [{ key: "k", value: "v", condition: "MATCHES" }],
          },
          updates: { identifier: "y", attrs: { a: "b" } },
        },
      ],
    });
    const selector = select("x", MatchType.REGEX, [matches("k", "v")]);
    assert.deepEqual(parsePolicy(text), policy(deny("docker-image://*"), convert(selector, "y", { a: "b" })));
  });

  it("fills in what is left out", () => {
    assert.deepEqual(parsePolicy("{}"), { version: 0, rules: [] });
    assert.deepEqual(parsePolicy('{"rules":[{}]}').rules, [{ action: 0, selector: undefined, updates: undefined }]);
  });

  it("says what is wrong where", () => {
    for (const [text, message] of [
      ["[]", /^policy: expected an object, got \[\]/],
      ['{"rules":{}}', /^rules: expected a list/],
      ['{"rules":[{"action":"BAN"}]}', /^rules\[0\]\.action: expected one of ALLOW, DENY, CONVERT, got "BAN"/],
      ['{"rules":[{"action":3}]}', /^rules\[0\]\.action: expected one of/],
      ['{"rules":[{"action":"toString"}]}', /^rules\[0\]\.action: expected one of/],
      ['{"rules":[{"selector":{"identifier":1}}]}', /^rules\[0\]\.selector\.identifier: expected a string, got 1/],
      ['{"rules":[{"updates":{"attrs":{"a":true}}}]}', /^rules\[0\]\.updates\.attrs\.a: expected a string/],
      ['{"version":1.5}', /^version: expected an integer/],
      ["{", /JSON/],
    ] as const) {
      assert.throws(() => parsePolicy(text), { message });
    }
  });
});
