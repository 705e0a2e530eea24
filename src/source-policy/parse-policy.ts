import { AttrMatch, MatchType, type Policy, PolicyAction, type Rule, type Selector } from "../api/gen/sourcepolicy.ts";

/**
 * A policy as a JSON file has it: `{"rules":[{"action":"DENY","selector":{"identifier":"docker-image://*"}}]}`. Names of
 * fields in any case, as Go reads them; enums as text or number (BuildKit sourcepolicy/pb/json.go).
 * @throws Error that says what is wrong where
 */
export function parsePolicy(text: string): Policy {
  const policy = fields(JSON.parse(text), "policy");
  const version = policy["version"] ?? 0;
  if (!Number.isSafeInteger(version)) throw wrong("version", "an integer", version);
  return {
    version: version as number,
    rules: list(policy["rules"], "rules").map((rule, index) => parseRule(rule, `rules[${index}]`)),
  };
}

function parseRule(value: unknown, where: string): Rule {
  const rule = fields(value, where);
  const { selector, updates } = rule;
  return {
    action: parseEnum(PolicyAction, rule["action"], `${where}.action`),
    selector: selector == null ? undefined : parseSelector(selector, `${where}.selector`),
    updates: updates == null ? undefined : parseUpdate(updates, `${where}.updates`),
  };
}

function parseSelector(value: unknown, where: string): Selector {
  const selector = fields(value, where);
  return {
    identifier: string(selector["identifier"], `${where}.identifier`),
    matchType: parseEnum(MatchType, selector["match_type"], `${where}.match_type`),
    constraints: list(selector["constraints"], `${where}.constraints`).map((constraint, index) => {
      const at = `${where}.constraints[${index}]`;
      const { key, value: wanted, condition } = fields(constraint, at);
      return {
        key: string(key, `${at}.key`),
        value: string(wanted, `${at}.value`),
        condition: parseEnum(AttrMatch, condition, `${at}.condition`),
      };
    }),
  };
}

function parseUpdate(value: unknown, where: string): NonNullable<Rule["updates"]> {
  const { identifier, attrs } = fields(value, where);
  const entries = Object.entries(attrs == null ? {} : object(attrs, `${where}.attrs`));
  return {
    identifier: string(identifier, `${where}.identifier`),
    attrs: Object.fromEntries(entries.map(([key, attr]) => [key, string(attr, `${where}.attrs.${key}`)])),
  };
}

function parseEnum<T extends number>(names: Readonly<Record<string, T>>, value: unknown, where: string): T {
  const found = Object.entries(names).find(([name, number]) => value === name || (value ?? 0) === number)?.[1];
  if (found === undefined) throw wrong(where, `one of ${Object.keys(names).join(", ")}`, value);
  return found;
}

/** By name in lower case. */
function fields(value: unknown, where: string): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(object(value, where)).map(([key, field]) => [key.toLowerCase(), field]));
}

function object(value: unknown, where: string): object {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(where, "an object", value);
  return value;
}

function list(value: unknown, where: string): readonly unknown[] {
  if (value == null) return [];
  if (!Array.isArray(value)) throw wrong(where, "a list", value);
  return value;
}

function string(value: unknown, where: string): string {
  if (value == null) return "";
  if (typeof value !== "string") throw wrong(where, "a string", value);
  return value;
}

function wrong(where: string, expected: string, value: unknown): Error {
  return new Error(`${where}: expected ${expected}, got ${JSON.stringify(value)}`);
}
