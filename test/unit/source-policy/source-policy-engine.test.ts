import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SourceOp } from "../../../src/api/gen/ops.ts";
import { type AttrMatch, MatchType, type Policy, type PolicyAction } from "../../../src/api/gen/sourcepolicy.ts";
import { checkPolicies, SourcePolicyEngine } from "../../../src/source-policy/index.ts";
import { allow, convert, deny, equal, matches, policy, select, unequal } from "./rules.ts";

const alpine = "docker-image://docker.io/library/alpine:3.20";
const { signal } = new AbortController();
const { EXACT, REGEX, WILDCARD } = MatchType;

/** `${name}` */
const group = (name: string | number) => `$\{${name}}`;
const source = (identifier = alpine, attrs: SourceOp["attrs"] = {}): SourceOp => ({ identifier, attrs });
const evaluate = (from: SourceOp, ...policies: readonly Policy[]) =>
  new SourcePolicyEngine().evaluate(from, policies, signal);
const isAllowed = (from: SourceOp, ...policies: readonly Policy[]) =>
  evaluate(from, ...policies).then(
    () => true,
    () => false,
  );

describe("SourcePolicyEngine", () => {
  it("leaves alone what no rule is about", async () => {
    const from = source();
    assert.equal(await evaluate(from), from);
    assert.equal(await evaluate(from, policy(deny("git://*"), convert("local://*", "x"), allow("*"))), from);
  });

  it("lets the last of the rules that allow or deny count", async () => {
    for (const [rules, allowed] of [
      [[deny("*")], false],
      [[deny("*"), allow(alpine)], true],
      [[allow(alpine), deny("*")], false],
      [[deny("*"), allow("git://*")], false],
      [[deny(alpine), allow("*"), deny("docker-image://*:3.20")], false],
    ] as const) {
      assert.equal(await isAllowed(source(), policy(...rules)), allowed, JSON.stringify(rules));
    }
  });

  it("asks every policy", async () => {
    assert.equal(await isAllowed(source(), policy(allow("*")), policy(deny("*"))), false);
    assert.equal(await isAllowed(source(), policy(deny("*")), policy(allow("*"))), false);
  });

  it("says what was denied", async () => {
    await assert.rejects(evaluate(source(), policy(deny("*"))), {
      message: `source "${alpine}" denied by policy: source denied by policy`,
    });
  });

  it("selects by identifier", async () => {
    for (const [pattern, type, selected] of [
      [alpine, EXACT, true],
      ["docker-image://docker.io/library/alpine*", EXACT, false],
      ["docker-image://*/alpine:*", WILDCARD, true],
      ["docker-image://docker.io/library/alpine:3.20*", WILDCARD, true],
      ["docker-image://docker.io/library/alpine:3.2", WILDCARD, false],
      ["ocker-image*", WILDCARD, false],
      ["docker-image://docker.io/library/alpine:3?20", WILDCARD, false],
      ["alpine:3\\.2[0-9]$", REGEX, true],
      ["^alpine", REGEX, false],
      ["(?i)ALPINE", REGEX, true],
      // A pattern that is the text itself needs not be one.
      ["(", REGEX, undefined],
    ] as const) {
      const rules = policy(deny(select(pattern, type)));
      if (selected === undefined) assert.equal(await isAllowed(source(pattern), rules), false);
      else assert.equal(await isAllowed(source(), rules), !selected, pattern);
    }
  });

  it("selects by attributes, all of them", async () => {
    const from = source("git://host/repo", { "git.fullurl": "https://host/repo", toString: "x" });
    for (const [constraints, selected] of [
      [[equal("git.fullurl", "https://host/repo")], true],
      [[equal("git.fullurl", "ssh://host/repo")], false],
      [[unequal("git.fullurl", "ssh://host/repo")], true],
      [[matches("git.fullurl", "^https?://")], true],
      [[matches("git.fullurl", "^ssh")], false],
      [[equal("git.fullurl", "https://host/repo"), equal("git.keepgitdir", "true")], false],
      // What is not there is empty.
      [[equal("git.keepgitdir", "")], true],
      [[unequal("git.keepgitdir", "")], false],
      [[equal("constructor", "")], true],
      [[equal("toString", "x")], true],
    ] as const) {
      const rules = policy(deny(select("git://*", WILDCARD, [...constraints])));
      assert.equal(await isAllowed(from, rules), !selected, JSON.stringify(constraints));
    }
  });

  it("converts", async () => {
    const pinned = "docker-image://mirror.example.com/alpine@sha256:abc";
    for (const [selector, template, expected] of [
      [select(alpine, EXACT), pinned, pinned],
      [select(alpine, EXACT), group(1), group(1)],
      [
        select("docker-image://docker.io/*"),
        `docker-image://mirror/${group(1)}`,
        "docker-image://mirror/library/alpine:3.20",
      ],
      [select("docker-image://*/*:*"), "oci-layout://$3/$2@$1", "oci-layout://3.20/alpine@docker.io/library"],
      [select("docker-image://*"), "x$1y", "x"],
      [select("docker-image://*"), `x$$1${group(2)}${group("name")}$`, "x$1$"],
      [
        select("alpine:(?P<tag>[0-9.]+)", REGEX),
        `busybox:${group("tag")}`,
        "docker-image://docker.io/library/busybox:3.20",
      ],
      [select("[a-z]+/", REGEX), "$0", alpine],
      [select("/(.)", REGEX), "-$1", "docker-image:--docker.io-library-alpine:3.20"],
    ] as const) {
      const converted = await evaluate(source(), policy(convert(selector, template)));
      assert.equal(converted.identifier, expected, template);
    }
  });

  it("sets attributes, with or without another identifier", async () => {
    const from = source("http://host/file", { "http.perm": "420", kept: "1" });
    const update = { "http.checksum": "sha256:abc", "http.perm": "384" };
    const rules = policy(convert(select("http://host/file", EXACT), "", update));
    const converted = await evaluate(from, rules);
    assert.deepEqual(converted, { identifier: "http://host/file", attrs: { ...update, kept: "1" } });
    assert.deepEqual(from.attrs, { "http.perm": "420", kept: "1" });
    assert.equal(await evaluate(converted, rules), converted);
  });

  it("judges anew what a rule has changed, from the first policy on", async () => {
    const first = policy(deny("docker-image://evil/*"));
    const second = policy(convert(alpine, "docker-image://evil/alpine"));
    await assert.rejects(evaluate(source(), first, second), /"docker-image:\/\/evil\/alpine" denied by policy/);
    // What a policy said before the change is forgotten.
    const saved = policy(deny(alpine), convert(alpine, "docker-image://good/alpine"));
    assert.equal((await evaluate(source(), saved)).identifier, "docker-image://good/alpine");
  });

  it("stops rules that go round in circles", async () => {
    const circle = policy(convert("a://x", "a://y"), convert("a://y", "a://x"));
    await assert.rejects(evaluate(source("a://x"), circle), {
      message: "too many mutations on a single source: too many operations",
    });
    const chain = (length: number) =>
      policy(...Array.from({ length }, (_, index) => convert(`a://${index}`, `a://${index + 1}`)));
    assert.equal((await evaluate(source("a://0"), chain(20))).identifier, "a://20");
    await assert.rejects(evaluate(source("a://0"), chain(21)), /too many mutations/);
  });

  it("stops rules that let a name grow without end", async () => {
    for (const [rule, expected] of [
      [convert("a:*", "a:$1$1$1"), /error formatting destination: identifier gets longer than 65536 characters/],
      [convert(select("x", REGEX), "xx"), /identifier gets longer than 65536 characters/],
      [convert("a:*", "$1".repeat(100_000)), /identifier gets longer than 65536 characters/],
    ] as const) {
      await assert.rejects(evaluate(source("a:xx"), policy(rule)), expected);
    }
  });

  it("refuses bad rules, once it comes to them", async () => {
    const strange = 9 as never as PolicyAction & MatchType & AttrMatch;
    for (const [rule, message] of [
      [{ ...deny(alpine), action: strange }, `source policy: rule 9 ${alpine}: unknown type "${alpine}"`],
      [
        { ...convert(alpine, ""), updates: undefined },
        "error mutating source policy: missing destination for convert rule",
      ],
      [deny(select("x", strange)), "error matching source policy: unknown match type: 9"],
      [deny(select("(x", REGEX)), "error matching source policy: error parsing regexp: missing closing ): `(x`"],
      [
        deny(select("x**")),
        'error matching source policy: failed to translate wildcard "x**" to regexp: invalid wildcard: "**"',
      ],
      [
        deny(select(alpine, EXACT, [matches("a", "*")])),
        'error matching source policy: invalid regex "*": error parsing regexp: missing argument to repetition operator: `*`',
      ],
      [
        deny(select(alpine, EXACT, [{ key: "a", value: "", condition: strange }])),
        "error matching source policy: unknown attr condition: 9",
      ],
    ] as const) {
      await assert.rejects(evaluate(source(), policy(rule)), { message });
    }
    assert.equal(await isAllowed(source(), policy(deny(select("(", REGEX, [equal("a", "b")])))), true);
    assert.throws(() => checkPolicies([policy({ ...deny("x"), selector: undefined })]), {
      message: "invalid nil selector in policy",
    });
  });

  it("answers patterns that are made to take for ever", async () => {
    const text = source(`docker-image://${"a".repeat(20_000)}!`);
    for (const [pattern, type] of [
      ["(a+)+$", REGEX],
      ["(a|a)*b", REGEX],
      [`${"a*".repeat(100)}b`, WILDCARD],
    ] as const) {
      assert.equal(await isAllowed(text, policy(deny(select(pattern, type)))), true, pattern);
    }
    for (const [pattern, type, message] of [
      ["((a{0,30}){0,30})$", REGEX, /pattern of \d+ steps is too costly to match with a text of 20016 characters/],
      [`docker-image://*${"a".repeat(5000)}b*!`, WILDCARD, /pattern of 5019 steps is too costly/],
      ["a".repeat(20_000), REGEX, /regular expression of 20000 characters is too long: at most 16384/],
    ] as const) {
      await assert.rejects(evaluate(text, policy(deny(select(pattern, type)))), message);
    }
  });

  it("lets others work while it goes through very many rules, and stops when told to", async () => {
    const rules = policy(...Array.from({ length: 50_000 }, (_, index) => deny(`docker-image://*/*-${index}:*`)));
    const stop = new AbortController();
    const evaluated = new SourcePolicyEngine().evaluate(source(), [rules], stop.signal);
    setImmediate(() => stop.abort(new Error("enough")));
    await assert.rejects(evaluated, { message: "enough" });
    assert.equal(await isAllowed(source(), rules), true);
  });
});
