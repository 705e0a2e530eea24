import type { SourceOp } from "../api/gen/ops.ts";
import { AttrMatch, MatchType, type Selector } from "../api/gen/sourcepolicy.ts";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { expandTemplate, type GoRegexpCache } from "./go-regexp.ts";
import { sourceAttr } from "./source-attr.ts";
import { Wildcard } from "./wildcard.ts";

/** True when a rule with this selector is about the source (BuildKit sourcepolicy/matcher.go). @throws BuildError */
export function selects(selector: Selector, source: SourceOp, regexps: GoRegexpCache): boolean {
  const { identifier } = source;
  for (const { key, value, condition } of selector.constraints) {
    if (!holds(condition, value, sourceAttr(source, key), regexps)) return false;
  }
  if (selector.identifier === identifier) return true;
  switch (selector.matchType) {
    case MatchType.EXACT:
      return false;
    case MatchType.REGEX:
      return regexps.get(selector.identifier).test(identifier);
    case MatchType.WILDCARD:
      return new Wildcard(selector.identifier).match(identifier) !== undefined;
    default:
      throw unknown(`unknown match type: ${selector.matchType}`);
  }
}

/** The template with what the selector's pattern stands for in the identifier filled in. @throws BuildError */
export function fillIn(selector: Selector, identifier: string, template: string, regexps: GoRegexpCache): string {
  switch (selector.matchType) {
    case MatchType.EXACT:
      return template;
    case MatchType.REGEX:
      return regexps.get(selector.identifier).replaceAll(identifier, template);
    case MatchType.WILDCARD: {
      const captures = new Wildcard(selector.identifier).match(identifier);
      return captures === undefined ? identifier : expandTemplate(template, captures);
    }
    default:
      throw unknown(`unknown match type: ${selector.matchType}`);
  }
}

function holds(condition: AttrMatch, wanted: string, actual: string, regexps: GoRegexpCache): boolean {
  switch (condition) {
    case AttrMatch.EQUAL:
      return actual === wanted;
    case AttrMatch.NOTEQUAL:
      return actual !== wanted;
    case AttrMatch.MATCHES:
      try {
        return regexps.get(wanted).test(actual);
      } catch (error) {
        throw BuildError.from(error).wrap(`invalid regex ${JSON.stringify(wanted)}`);
      }
    default:
      throw unknown(`unknown attr condition: ${condition}`);
  }
}

function unknown(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
