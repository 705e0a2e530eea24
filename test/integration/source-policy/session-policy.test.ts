import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, afterEach, before, describe, it } from "node:test";
import { SolveRequest } from "../../../src/api/gen/control.ts";
import { ResolveSourceMetaRequest } from "../../../src/api/gen/gateway.ts";
import { CheckPolicyRequest, CheckPolicyResponse, DecisionResponse } from "../../../src/api/gen/policysession.ts";
import { PolicyAction } from "../../../src/api/gen/sourcepolicy.ts";
import { policyDenials } from "../../../src/client/index.ts";
import { ClientSession } from "../../../src/client/session/client-session.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { unary } from "../../../src/grpc/index.ts";
import { image, marshalState } from "../../../src/llb/builder/index.ts";
import { type BuildClient, Sandbox } from "../../helpers/sandbox/index.ts";

type Answer = CheckPolicyResponse["result"];

const method = "/moby.buildkit.v1.sourcepolicy.policysession.PolicyVerifier/CheckPolicy";
const { signal } = new AbortController();
const decide = (action: PolicyAction, more: Parameters<typeof DecisionResponse.fromPartial>[0] = {}): Answer => ({
  $case: "decision",
  value: DecisionResponse.fromPartial({ action, ...more }),
});

describe("source policies of a session", () => {
  let sandbox: Sandbox;
  let client: BuildClient;

  before(async () => {
    sandbox = await Sandbox.start({ standalone: true });
    client = await sandbox.connect();
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  /** Builds an image that the client is asked about. */
  async function build(reference: string, check: (request: CheckPolicyRequest) => Answer | Promise<Answer>) {
    await using session = new ClientSession(client.control, {
      services: [
        {
          register: (server) =>
            server.handle(
              method,
              unary(CheckPolicyRequest, CheckPolicyResponse, async (request) => ({ result: await check(request) })),
            ),
        },
      ],
      logger: silentLogger,
    });
    const request = SolveRequest.fromPartial({
      Ref: randomBytes(12).toString("hex"),
      Session: session.id,
      SourcePolicySession: session.id,
      Definition: marshalState(image(reference)),
    });
    await client.control.solve(request, signal);
  }

  it("shows the client what it asks for, and builds what it puts in place", async () => {
    const seen: CheckPolicyRequest[] = [];
    await build("example.com/unknown:1", (request) => {
      seen.push(request);
      const source = request.Source?.Source;
      if (source?.identifier !== `docker-image://${sandbox.image()}`) {
        const update = { identifier: `docker-image://${sandbox.image()}`, attrs: {} };
        return decide(PolicyAction.CONVERT, { update });
      }
      if (request.Source?.Image !== undefined) return decide(PolicyAction.ALLOW);
      const meta = { Source: source, Platform: request.Platform, ResolveMode: "pull" };
      return { $case: "request", value: ResolveSourceMetaRequest.fromPartial(meta as never) };
    });
    assert.equal(seen.length, 3);
    const shown = seen[2]?.Source?.Image;
    assert.match(shown?.Digest ?? "", /^sha256:/);
    assert.ok(JSON.parse(Buffer.from(shown?.Config ?? []).toString()).rootfs);
  });

  it("tells the client's user why a source is denied", async () => {
    const denyMessages = [{ message: "not that one" }];
    await assert.rejects(
      build(sandbox.image(), () => decide(PolicyAction.DENY, { denyMessages })),
      (error) => {
        assert.ok(error instanceof BuildError);
        assert.match(
          error.message,
          /^failed to load LLB: error evaluating the source policy: source ".*" not allowed by/,
        );
        assert.deepEqual(policyDenials(error), ["not that one"]);
        return true;
      },
    );
  });

  it("fails, and does not wait, when the client leaves without an answer", async () => {
    let leave: () => void = () => {};
    const session = new ClientSession(client.control, {
      services: [{ register: (server) => server.handle(method, () => new Promise(() => leave())) }],
      logger: silentLogger,
    });
    leave = () => void session[Symbol.asyncDispose]();
    const request = SolveRequest.fromPartial({
      Ref: randomBytes(12).toString("hex"),
      SourcePolicySession: session.id,
      Definition: marshalState(image(sandbox.image())),
    });
    await assert.rejects(client.control.solve(request, signal), (error) => {
      assert.ok(error instanceof BuildError);
      assert.match(error.message, /error evaluating the source policy/);
      return true;
    });
  });
});
