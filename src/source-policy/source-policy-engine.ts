import { setImmediate } from "node:timers/promises";
import type { SourceOp } from "../api/gen/ops.ts";
import { type Policy, PolicyAction, type Rule } from "../api/gen/sourcepolicy.ts";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { GoRegexpCache } from "./go-regexp.ts";
import { fillIn, selects } from "./selector.ts";
import { sourceAttr } from "./source-attr.ts";

/** Rounds in which a rule may change one source; rules that undo each other would go on for ever. */
const maxRounds = 21;
/** Others get their turn after this time. */
const sliceMs = 10;

/**
 * Applies rules to sources (BuildKit sourcepolicy/engine.go). Of the rules of a policy that allow or deny a source the last
 * one counts. One that changes it starts all over with the source as changed. Every policy must let it pass.
 */
export class SourcePolicyEngine {
  readonly #regexps = new GoRegexpCache();

  /**
   * The source as the policies want it; the same object when they leave it alone.
   * @throws BuildError `source "…" denied by policy: source denied by policy`, or for a bad rule that was reached
   */
  async evaluate(source: SourceOp, policies: readonly Policy[], signal: AbortSignal): Promise<SourceOp> {
    const slices = new TimeSlices(signal);
    let current = source;
    for (let round = 0; round < maxRounds; round++) {
      const changed = await this.#round(current, policies, slices);
      if (changed === undefined) return current;
      current = changed;
    }
    throw unknown("too many mutations on a single source: too many operations");
  }

  /** The source with its first change; undefined when nothing changes it. */
  async #round(source: SourceOp, policies: readonly Policy[], slices: TimeSlices): Promise<SourceOp | undefined> {
    for (const { rules } of policies) {
      let denied = false;
      for (const rule of rules) {
        await slices.next();
        if (!this.#selects(rule, source)) continue;
        if (rule.action === PolicyAction.CONVERT) {
          const changed = this.#convert(rule, source);
          if (changed !== undefined) return changed;
        } else denied = isDenied(rule, source);
      }
      if (denied) {
        throw unknown(`source ${JSON.stringify(source.identifier)} denied by policy: source denied by policy`);
      }
    }
    return undefined;
  }

  #selects({ selector }: Rule, source: SourceOp): boolean {
    try {
      return selector !== undefined && selects(selector, source, this.#regexps);
    } catch (error) {
      throw BuildError.from(error).wrap("error matching source policy");
    }
  }

  #convert({ selector, updates }: Rule, source: SourceOp): SourceOp | undefined {
    if (updates === undefined || selector === undefined) {
      throw unknown("error mutating source policy: missing destination for convert rule");
    }
    const identifier = this.#destination(selector, updates.identifier || selector.identifier, source);
    const attrs = Object.entries(updates.attrs).filter(([key, value]) => sourceAttr(source, key) !== value);
    if (identifier === source.identifier && attrs.length === 0) return undefined;
    return { identifier, attrs: { ...source.attrs, ...Object.fromEntries(attrs) } };
  }

  #destination(selector: NonNullable<Rule["selector"]>, template: string, source: SourceOp): string {
    try {
      return fillIn(selector, source.identifier, template, this.#regexps) || source.identifier;
    } catch (error) {
      throw BuildError.from(error).wrap("error mutating source policy: error formatting destination");
    }
  }
}

function isDenied({ action, selector }: Rule, source: SourceOp): boolean {
  if (action === PolicyAction.ALLOW || action === PolicyAction.DENY) return action === PolicyAction.DENY;
  const ident = JSON.stringify(source.identifier);
  throw unknown(`source policy: rule ${action} ${selector?.identifier}: unknown type ${ident}`);
}

/** Lets the event loop go on now and then. */
class TimeSlices {
  readonly #signal: AbortSignal;
  #startedAt = performance.now();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  async next(): Promise<void> {
    if (performance.now() - this.#startedAt < sliceMs) return;
    await setImmediate();
    this.#signal.throwIfAborted();
    this.#startedAt = performance.now();
  }
}

function unknown(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
