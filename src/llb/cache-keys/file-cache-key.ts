import type { ChownOpt, FileAction, FileOp } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { sha256 } from "../../core/values/digest.ts";
import type { ContentSelector } from "../../core/values/task.ts";
import { base64 } from "./go-json.ts";
import type { OpCacheKey, OpCacheKeyDep } from "./op-cache-key.ts";
import { fileActionJson } from "./op-json.ts";
import { absolutePath, baseName, compareBytes, outermostPaths } from "./paths.ts";

/** BuildKit solver/llbsolver/ops/file.go CacheMap (map d14, d17, d18). */
export function fileCacheKey(op: FileOp, inputs: number): OpCacheKey {
  const selectors = new Map<number, ContentSelector[]>();
  const written = new Set<number>();
  const actions = op.actions.map((action) => {
    if (action.input !== -1) written.add(action.input);
    const json = fileActionJson(reduced(action, inputs, selectors));
    return json === undefined ? "null" : base64(json);
  });
  const indexes = op.actions.map(({ input, secondaryInput, output }) => [input, secondaryInput, output] as const);
  const indexesField = isDefaultChain(indexes) ? "" : `,"indexes":${JSON.stringify(indexes)}`;
  const digest = sha256(`{"Type":"buildkit.file.v0","Actions":[${actions.join(",")}]${indexesField}}`);
  return { digest, deps: contentDeps(selectors, written, inputs) };
}

/** A copy from an op input counts by the content it selects, so only the name at its end remains of the path. */
function reduced(
  { action, secondaryInput }: FileAction,
  inputs: number,
  selectors: Map<number, ContentSelector[]>,
): FileAction["action"] {
  if (action === undefined || action.$case === "rm" || action.$case === "symlink") return action;
  selectOwnerFiles(action.value.owner, selectors);
  if (action.$case !== "copy" || secondaryInput === -1 || secondaryInput >= inputs) return action;
  const copy = action.value;
  select(selectors, secondaryInput, {
    path: copy.src,
    wildcard: copy.allowWildcard && hasWildcards(copy.src),
    followLinks: copy.followSymlink,
    includePatterns: copy.includePatterns,
    excludePatterns: copy.excludePatterns,
    ...(copy.requiredPaths.length === 0 ? {} : { requiredPaths: copy.requiredPaths }),
  });
  return { $case: "copy", value: { ...copy, src: baseName(copy.src) } };
}

/** Names of owners are looked up in files of an input, which then decide too. */
function selectOwnerFiles(owner: ChownOpt | undefined, selectors: Map<number, ContentSelector[]>): void {
  const sides = [
    [owner?.user?.user, "/etc/passwd"],
    [owner?.group?.user, "/etc/group"],
  ] as const;
  for (const [user, path] of sides) {
    // A negative input fails when the op runs; until then it selects nothing, and neither does what follows it.
    if (user?.$case !== "byName") continue;
    if (user.value.input < 0) return;
    select(selectors, user.value.input, {
      path,
      wildcard: false,
      followLinks: true,
      includePatterns: [],
      excludePatterns: [],
    });
  }
}

function select(selectors: Map<number, ContentSelector[]>, input: number, selector: ContentSelector): void {
  const list = selectors.get(input);
  if (list === undefined) selectors.set(input, [selector]);
  else list.push(selector);
}

function contentDeps(
  selectors: ReadonlyMap<number, readonly ContentSelector[]>,
  written: ReadonlySet<number>,
  inputs: number,
): OpCacheKeyDep[] {
  for (const input of selectors.keys()) {
    if (input < 0 || input >= inputs) {
      throw new BuildError(Code.Unknown, `invalid input index ${input} in file op with ${inputs} inputs`);
    }
  }
  return Array.from({ length: inputs }, (_, input) => {
    const selected = selectors.get(input);
    // What an action writes to ends up in the result as a whole.
    if (selected === undefined || written.has(input)) return {};
    const paths = selected.map(({ path }) => path).sort((a, b) => compareBytes(b, a));
    return { selectorDigest: sha256(paths.join("\0")), contentSelectors: withoutOverlap(selected) };
  });
}

function withoutOverlap(selectors: readonly ContentSelector[]): ContentSelector[] {
  const filtered = selectors.filter(hasFilters);
  const whole = (followLinks: boolean) => {
    const paths = selectors.filter((selector) => !hasFilters(selector) && selector.followLinks === followLinks);
    return outermostPaths(paths.map(({ path }) => path)).map((path) => ({
      path,
      wildcard: false,
      followLinks,
      includePatterns: [],
      excludePatterns: [],
    }));
  };
  return [...whole(false), ...whole(true), ...filtered]
    .sort((a, b) => compareBytes(a.path, b.path))
    .map((selector) => ({ ...selector, path: absolutePath(selector.path) }));
}

function hasFilters({ wildcard, includePatterns, excludePatterns }: ContentSelector): boolean {
  return wildcard || includePatterns.length > 0 || excludePatterns.length > 0;
}

function hasWildcards(path: string): boolean {
  return /^(?:\\.|[^\\*?[])*[*?[]/s.test(path);
}

/** Actions one after the other on the first input: the numbers say nothing then, and keys of old have none. */
function isDefaultChain(indexes: readonly (readonly [number, number, number])[]): boolean {
  const last = indexes.length - 1;
  return (
    indexes.length > 0 &&
    indexes.every(
      ([input, secondary, output], i) =>
        input === (i === 0 ? 0 : last + i) && (secondary === -1 || secondary === 1) && output === (i === last ? 0 : -1),
    )
  );
}
