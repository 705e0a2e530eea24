import type { ResolveSourceMetaRequest, ResolveSourceMetaResponse } from "../../api/gen/gateway.ts";
import type { SourceOp } from "../../api/gen/ops.ts";
import type { DecisionResponse } from "../../api/gen/policysession.ts";
import { PolicyAction } from "../../api/gen/sourcepolicy.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { SourceMeta, SourceMetaRequest } from "../../core/seams/llb-bridge.ts";
import type { SessionCaller } from "../../core/seams/session-caller.ts";
import { askSourcePolicy } from "../../session-services/index.ts";
import { goJson } from "../../util/go-json.ts";
import { sourceMetaFromMessage, sourceMetaToMessage } from "../front-door/index.ts";
import type { PolicySubject } from "./build-source-policy.ts";

/** Metadata of a source, without asking any policy. */
export interface SourceMetaLookup {
  resolve(request: SourceMetaRequest, signal: AbortSignal): Promise<SourceMeta>;
}

export interface SessionDecision {
  /** Put in place of the source; that one is to be judged anew. */
  readonly update: SourceOp | undefined;
  /** How many calls it took. */
  readonly questions: number;
}

/** A client decides about each source, and may look at its metadata first (BuildKit solver/llbsolver/policy.go). */
export class SessionPolicy {
  readonly #caller: (signal: AbortSignal) => Promise<SessionCaller>;
  readonly #sourceMeta: SourceMetaLookup;

  /** @param caller looks the session up */
  constructor(caller: (signal: AbortSignal) => Promise<SessionCaller>, sourceMeta: SourceMetaLookup) {
    this.#caller = caller;
    this.#sourceMeta = sourceMeta;
  }

  /**
   * @param maxQuestions calls at most
   * @throws BuildError `source "…" not allowed by policy: action DENY` with the client's reasons, or an error of its session
   */
  async decide(subject: PolicySubject, maxQuestions: number, signal: AbortSignal): Promise<SessionDecision> {
    const { source, platform } = subject;
    const caller = await this.#caller(signal);
    let known: ResolveSourceMetaResponse = { Source: source, Image: undefined, Git: undefined, HTTP: undefined };
    for (let questions = 1; questions <= maxQuestions; questions++) {
      const { result } = await askSourcePolicy(caller, { Platform: platform, Source: known, caps: {} }, signal);
      if (result === undefined) throw unknown("no decision in policy response");
      if (result.$case === "decision") return { update: updateOf(result.value, source), questions };
      known = await this.#resolve(result.value, source, signal);
    }
    throw unknown("too many policy requests");
  }

  async #resolve(
    request: ResolveSourceMetaRequest,
    source: SourceOp,
    signal: AbortSignal,
  ): Promise<ResolveSourceMetaResponse> {
    checkSameSource(request.Source, source);
    try {
      return sourceMetaToMessage(await this.#sourceMeta.resolve(sourceMetaFromMessage(request), signal));
    } catch (error) {
      throw BuildError.from(error).wrap("error resolving source metadata from policy request");
    }
  }
}

/** @throws BuildError unless the source is allowed or changed */
function updateOf(decision: DecisionResponse, source: SourceOp): SourceOp | undefined {
  const { action, update } = decision;
  if (action === PolicyAction.ALLOW) return undefined;
  if (action === PolicyAction.CONVERT) {
    if (update === undefined) throw unknown("convert action requires updated source");
    return update;
  }
  const name = Object.entries(PolicyAction).find(([, value]) => value === action)?.[0] ?? action;
  throw denied(`source ${JSON.stringify(source.identifier)} not allowed by policy: action ${name}`, decision);
}

/** With the client's reasons for it to show (BuildKit sourcepolicy/policysession/denyerror.go). */
function denied(message: string, { denyMessages }: DecisionResponse): BuildError {
  if (denyMessages.length === 0) return unknown(message);
  const value = new TextEncoder().encode(goJson({ action: "DENY", denyMessages }));
  const typeUrl = "github.com/moby/buildkit/policysession.DecisionResponse+json";
  return new BuildError(Code.Unknown, message, { details: [{ typeUrl, value }] });
}

/** A policy may look at nothing but what it is asked about. @throws BuildError */
function checkSameSource(asked: SourceOp | undefined, source: SourceOp): void {
  const { identifier = "", attrs = {} } = asked ?? {};
  if (identifier !== source.identifier) {
    const [got, wanted] = [identifier, source.identifier].map((text) => JSON.stringify(text));
    throw unknown(`policy requested different source identifier: ${got} != ${wanted}`);
  }
  const difference = attrsDifference(source.attrs, attrs);
  if (difference !== undefined) throw unknown(`policy requested different source attrs: ${difference}`);
}

function attrsDifference(
  wanted: Readonly<Record<string, string>>,
  got: Readonly<Record<string, string>>,
): string | undefined {
  const entries = Object.entries(wanted);
  const count = Object.keys(got).length;
  if (entries.length !== count) return `map length mismatch: ${entries.length} != ${count}`;
  for (const [key, value] of entries) {
    if (!Object.hasOwn(got, key)) return `key ${key} missing from second map`;
    if (got[key] !== value) return `value mismatch for key ${key}: ${value} != ${got[key]}`;
  }
  return undefined;
}

function unknown(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
