import type { Platform, SourceOp } from "../../api/gen/ops.ts";
import type { Policy } from "../../api/gen/sourcepolicy.ts";
import { normalizeIdentifier } from "../../source/index.ts";
import { SourcePolicyEngine } from "../../source-policy/index.ts";
import type { SessionPolicy } from "./session-policy.ts";

export interface PolicySubject {
  readonly source: SourceOp;
  /** As the request or the op has it. */
  readonly platform: Platform | undefined;
}

/** How often the session may be asked about one source, changed or not. */
const maxQuestions = 10;

/** Says which sources a build may use, and what it uses in their place (map d28, h43, b13). */
export class BuildSourcePolicy {
  /** Of the build's own policy. */
  readonly rules: readonly Policy[];
  readonly #session: SessionPolicy | undefined;
  readonly #engine = new SourcePolicyEngine();

  /**
   * @param policy checked
   * @param session decides on what the rules let pass
   */
  constructor(policy: Policy | undefined, session: SessionPolicy | undefined) {
    this.rules = policy === undefined ? [] : [policy];
    this.#session = session;
  }

  /**
   * The source to use, identifier normalized; the same object when nothing has changed it.
   * @param policies checked, in the order in which they count, those of the build among them
   * @throws BuildError when it is denied
   */
  async apply(subject: PolicySubject, policies: readonly Policy[], signal: AbortSignal): Promise<SourceOp> {
    let current = subject.source;
    for (let questions = 0; ; ) {
      const identifier = normalizeIdentifier(current);
      if (identifier !== current.identifier) current = { ...current, identifier };
      current = await this.#engine.evaluate(current, policies, signal);
      if (this.#session === undefined) return current;
      const left = maxQuestions - questions;
      const answer = await this.#session.decide({ ...subject, source: current }, left, signal);
      if (answer.update === undefined) return current;
      current = answer.update;
      questions += answer.questions;
    }
  }
}
