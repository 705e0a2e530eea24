/** One containerd filter expression (containerd pkg/filters): all its comma-separated selectors must hold. */
export function matchesFilter(filter: string, field: (path: readonly string[]) => string | undefined): boolean {
  return splitTop(filter).every((selector) => {
    const match = selectorPattern.exec(selector.trim());
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

const selectorPattern =
  /^((?:"(?:[^"\\]|\\.)*"|[A-Za-z0-9_-]+)(?:\.(?:"(?:[^"\\]|\\.)*"|[A-Za-z0-9_-]+))*)\s*(==|!=|~=)?\s*(.*)$/s;

function splitTop(filter: string): string[] {
  return filter.match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? [];
}

function unquote(text: string): string {
  return /^".*"$/s.test(text) ? (JSON.parse(text) as string) : text;
}
