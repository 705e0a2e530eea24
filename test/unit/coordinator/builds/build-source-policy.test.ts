import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ResolveSourceMetaRequest } from "../../../../src/api/gen/gateway.ts";
import type { SourceOp } from "../../../../src/api/gen/ops.ts";
import { CheckPolicyRequest, CheckPolicyResponse, DecisionResponse } from "../../../../src/api/gen/policysession.ts";
import { PolicyAction } from "../../../../src/api/gen/sourcepolicy.ts";
import { policyDenials } from "../../../../src/client/index.ts";
import { BuildSourcePolicy } from "../../../../src/coordinator/builds/build-source-policy.ts";
import { SessionPolicy } from "../../../../src/coordinator/builds/session-policy.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import type { SourceMeta, SourceMetaRequest } from "../../../../src/core/seams/llb-bridge.ts";
import type { Digest } from "../../../../src/core/values/digest.ts";
import { FakeSession, FakeSessionGroup } from "../../../helpers/fake-session.ts";
import { convert, deny, policy } from "../../source-policy/rules.ts";

const method = "/moby.buildkit.v1.sourcepolicy.policysession.PolicyVerifier/CheckPolicy";
const alpine = "docker-image://docker.io/library/alpine:3.20";
const busybox = "docker-image://docker.io/library/busybox:1";
const digest = `sha256:${"a".repeat(64)}` as Digest;
const { signal } = new AbortController();

type Answer = CheckPolicyResponse["result"];
const decide = (decision: Partial<DecisionResponse>): Answer => ({
  $case: "decision",
  value: { ...DecisionResponse.fromPartial({}), ...decision },
});
const allowed = decide({ action: PolicyAction.ALLOW });
const change = (identifier: string): Answer =>
  decide({ action: PolicyAction.CONVERT, update: { identifier, attrs: {} } });
const askFor = (request: Parameters<typeof ResolveSourceMetaRequest.fromPartial>[0]): Answer => ({
  $case: "request",
  value: ResolveSourceMetaRequest.fromPartial(request),
});

/** A client that answers from a list, and what it was asked. */
class Client {
  readonly asked: CheckPolicyRequest[] = [];
  readonly resolved: SourceMetaRequest[] = [];
  readonly #answers: Answer[];

  constructor(...answers: readonly Answer[]) {
    this.#answers = [...answers];
  }

  get identifiers(): readonly (string | undefined)[] {
    return this.asked.map(({ Source }) => Source?.Source?.identifier);
  }

  get session(): SessionPolicy {
    const serve = async function* (this: Client, requests: AsyncIterable<Uint8Array>) {
      for await (const request of requests) this.asked.push(CheckPolicyRequest.decode(request));
      if (this.#answers.length === 0) throw new BuildError(Code.Unknown, "nothing left to say");
      yield CheckPolicyResponse.encode({ result: this.#answers.shift() }).finish();
    };
    const group = new FakeSessionGroup(new FakeSession("s", { [method]: serve.bind(this) }));
    const resolve = async (request: SourceMetaRequest): Promise<SourceMeta> => {
      this.resolved.push(request);
      return { source: request.source, image: { digest, config: Buffer.from("{}") } };
    };
    return new SessionPolicy(() => group.get("s"), { resolve });
  }

  apply(source: Partial<SourceOp> = {}, rules = policy()): Promise<SourceOp> {
    const subject = { source: { identifier: alpine, attrs: {}, ...source }, platform: undefined };
    return new BuildSourcePolicy(rules, this.session).apply(subject, [rules], signal);
  }
}

describe("BuildSourcePolicy", () => {
  const apply = (source: SourceOp, rules = policy()) =>
    new BuildSourcePolicy(rules, undefined).apply({ source, platform: undefined }, [rules], signal);

  it("leaves a source alone that nobody minds", async () => {
    const source = { identifier: alpine, attrs: {} };
    assert.equal(await apply(source), source);
  });

  it("judges a source by the one spelling of its name", async () => {
    const rules = policy(deny("git://evil.example.com/*"));
    for (const [identifier, attrs] of [
      ["git://good.example.com/repo.git", { "git.fullurl": "https://user:secret@evil.example.com/repo.git" }],
      ["git://https://evil.example.com/repo.git#main", {}],
      ["git://good.example.com/repo.git", { "git.fullurl": "git@evil.example.com:team/repo.git" }],
    ] as const) {
      await assert.rejects(apply({ identifier, attrs }, rules), /"git:\/\/evil\.example\.com\/.*repo\.git.*" denied/);
    }
  });
});

describe("SessionPolicy", () => {
  it("lets the client allow a source", async () => {
    const client = new Client(allowed);
    assert.deepEqual(await client.apply({ attrs: { a: "b" } }), { identifier: alpine, attrs: { a: "b" } });
    assert.deepEqual(client.asked[0]?.Source?.Source, { identifier: alpine, attrs: { a: "b" } });
  });

  it("asks about what the rules have made of a source", async () => {
    const client = new Client(allowed);
    assert.equal((await client.apply({}, policy(convert(alpine, busybox)))).identifier, busybox);
    assert.deepEqual(client.identifiers, [busybox]);
    await assert.rejects(client.apply({}, policy(deny("*"))), /denied by policy/);
    assert.equal(client.asked.length, 1);
  });

  it("applies rules, and asks again, when the client changes a source", async () => {
    const client = new Client(change(busybox), allowed);
    assert.equal((await client.apply()).identifier, busybox);
    assert.deepEqual(client.identifiers, [alpine, busybox]);
    await assert.rejects(new Client(change(busybox)).apply({}, policy(deny(busybox))), /busybox:1" denied by policy/);
  });

  it("tells metadata that the client asks for", async () => {
    const source = { identifier: alpine, attrs: {} };
    const client = new Client(askFor({ Source: source, LogName: "looking", Image: { NoConfig: true } }), allowed);
    await client.apply();
    assert.deepEqual(client.resolved, [{ source, logName: "looking", sourcePolicies: [], image: { noConfig: true } }]);
    assert.equal(client.asked[1]?.Source?.Image?.Digest, digest);
  });

  it("tells nothing about other sources", async () => {
    for (const [Source, message] of [
      [{ identifier: busybox, attrs: {} }, `policy requested different source identifier: "${busybox}" != "${alpine}"`],
      [{ identifier: alpine, attrs: {} }, "policy requested different source attrs: map length mismatch: 1 != 0"],
      [
        { identifier: alpine, attrs: { b: "1" } },
        "policy requested different source attrs: key a missing from second map",
      ],
      [
        { identifier: alpine, attrs: { a: "2" } },
        "policy requested different source attrs: value mismatch for key a: 1 != 2",
      ],
      [undefined, `policy requested different source identifier: "" != "${alpine}"`],
    ] as const) {
      const client = new Client(askFor({ Source: Source as never }));
      await assert.rejects(client.apply({ attrs: { a: "1" } }), { message });
      assert.deepEqual(client.resolved, []);
    }
  });

  it("passes on why the client denies a source", async () => {
    const reasons = [{ message: "too <old>" }, { message: "use busybox" }];
    const denied = new Client(decide({ action: PolicyAction.DENY, denyMessages: reasons })).apply();
    await assert.rejects(denied, (error) => {
      assert.ok(error instanceof BuildError);
      assert.equal(error.message, `source "${alpine}" not allowed by policy: action DENY`);
      assert.deepEqual(policyDenials(error), ["too <old>", "use busybox"]);
      return true;
    });
  });

  it("fails for answers that decide nothing", async () => {
    for (const [answers, message] of [
      [[undefined], "no decision in policy response"],
      [[decide({ action: PolicyAction.CONVERT })], "convert action requires updated source"],
      [[decide({ action: 7 as PolicyAction })], `source "${alpine}" not allowed by policy: action 7`],
      [[], "nothing left to say"],
    ] as const) {
      await assert.rejects(new Client(...answers).apply(), { message });
    }
  });

  it("is asked ten times at most, whatever it says", async () => {
    const source = { identifier: alpine, attrs: {} };
    const circles = Array.from({ length: 20 }, (_, index) => change(index % 2 === 0 ? busybox : alpine));
    const questions = Array.from({ length: 20 }, () => askFor({ Source: source }));
    const mixed = [...questions.slice(0, 5), change(busybox), change(alpine), ...questions];
    for (const answers of [circles, questions, mixed]) {
      const client = new Client(...answers);
      await assert.rejects(client.apply(), { message: "too many policy requests" });
      assert.equal(client.asked.length, 10);
    }
  });

  it("fails when the session has gone", async () => {
    const gone = new SessionPolicy(() => new FakeSessionGroup().get("s"), { resolve: () => assert.fail() });
    const subject = { source: { identifier: alpine, attrs: {} }, platform: undefined };
    await assert.rejects(new BuildSourcePolicy(undefined, gone).apply(subject, [], signal), {
      message: "no active session for s",
    });
  });
});
