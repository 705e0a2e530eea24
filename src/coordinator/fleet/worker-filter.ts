import type { AgentRecord } from "../../core/values/agent.ts";

/**
 * containerd filters over a worker: `id==x`, `labels."key"==value`, `~=` for a regular expression, a bare field for presence,
 * joined by commas. An agent must match each filter of `filters` (BuildKit worker/filter.go: any one suffices there for
 * ListWorkers; ops name one).
 */
export function matchesWorkerFilters(filters: readonly string[], agent: Pick<AgentRecord, "id" | "labels">): boolean {
  return filters.length === 0 || filters.some((filter) => matchesFilter(filter, (path) => workerField(path, agent)));
}

function workerField(path: readonly string[], agent: Pick<AgentRecord, "id" | "labels">): string | undefined {
  if (path[0] === "id") return agent.id;
  if (path[0] === "labels") return agent.labels[path.slice(1).join(".")];
  return undefined;
}

/** One containerd filter expression (containerd pkg/filters): all its comma-separated selectors must hold. */
export function matchesFilter(filter: string, field: (path: readonly string[]) => string | undefined): boolean {
  return splitTop(filter).every((selector) => {
    const match =
      /^((?:"(?:[^"\\]|\\.)*"|[A-Za-z0-9_-]+)(?:\.(?:"(?:[^"\\]|\\.)*"|[A-Za-z0-9_-]+))*)\s*(==|!=|~=)?\s*(.*)$/s.exec(
        selector.trim(),
      );
    if (match === null) return false;
    const [, pathText = "", operator, valueText = ""] = match;
    const actual = field((pathText.match(/"(?:[^"\\]|\\.)*"|[^.]+/g) ?? []).map(unquote));
    const value = unquote(valueText);
    switch (operator) {
      case "==":
        return actual === value;
      case "!=":
        return actual !== value;
      case "~=":
        return actual !== undefined && new RegExp(value).test(actual);
      default:
        return actual !== undefined && actual !== "";
    }
  });
}

function splitTop(filter: string): string[] {
  return filter.match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? [];
}

function unquote(text: string): string {
  return /^".*"$/s.test(text) ? (JSON.parse(text) as string) : text;
}
