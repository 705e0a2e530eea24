import {
  AttrMatch,
  MatchType,
  type Policy,
  PolicyAction,
  type Rule,
  type Selector,
} from "../../../src/api/gen/sourcepolicy.ts";

export const policy = (...rules: readonly Rule[]): Policy => ({ version: 1, rules: [...rules] });

export const select = (
  identifier: string,
  matchType: MatchType = MatchType.WILDCARD,
  constraints: Selector["constraints"] = [],
): Selector => ({ identifier, matchType, constraints });

const rule = (action: PolicyAction, selector: Selector | string): Rule => ({
  action,
  selector: typeof selector === "string" ? select(selector) : selector,
  updates: undefined,
});

export const allow = (selector: Selector | string): Rule => rule(PolicyAction.ALLOW, selector);
export const deny = (selector: Selector | string): Rule => rule(PolicyAction.DENY, selector);
export const convert = (selector: Selector | string, identifier: string, attrs: Record<string, string> = {}): Rule => ({
  ...rule(PolicyAction.CONVERT, selector),
  updates: { identifier, attrs },
});

export const equal = (key: string, value: string) => ({ key, value, condition: AttrMatch.EQUAL });
export const unequal = (key: string, value: string) => ({ key, value, condition: AttrMatch.NOTEQUAL });
export const matches = (key: string, value: string) => ({ key, value, condition: AttrMatch.MATCHES });
