/** Token scopes, `repository:library/alpine:pull,push` (distribution spec, token authentication). */
export function repositoryScope(repository: string, push: boolean): string {
  return `repository:${repository}:${push ? "pull,push" : "pull"}`;
}

/** One scope per resource with its actions joined, all sorted: equal wishes give equal text. */
export function normalizeScopes(scopes: readonly string[]): readonly string[] {
  return [...parse(scopes)].map(([name, actions]) => `${name}:${[...actions].sort().join(",")}`).sort();
}

/** True when every action of `wanted` is already in `granted`. */
export function scopesContain(granted: readonly string[], wanted: readonly string[]): boolean {
  const have = parse(granted);
  return [...parse(wanted)].every(([name, actions]) => {
    const given = have.get(name);
    return given !== undefined && [...actions].every((action) => given.has(action));
  });
}

function parse(scopes: readonly string[]): Map<string, Set<string>> {
  const resources = new Map<string, Set<string>>();
  for (const scope of scopes.flatMap((text) => text.split(" ")).filter((text) => text !== "")) {
    const last = scope.lastIndexOf(":");
    const firstColon = scope.indexOf(":");
    const hasActions = last > firstColon;
    const name = hasActions ? scope.slice(0, last) : scope;
    const actions = resources.get(name) ?? new Set<string>();
    for (const action of hasActions ? scope.slice(last + 1).split(",") : []) if (action !== "") actions.add(action);
    resources.set(name, actions);
  }
  return resources;
}
