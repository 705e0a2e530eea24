/** SGR parameters of what colours are used for; undefined = none. */
export interface TerminalColors {
  readonly run?: string;
  readonly cancel?: string;
  readonly error?: string;
  readonly warning?: string;
  /** Logs of steps. */
  readonly faint?: string;
}

const names = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const kinds = ["run", "cancel", "error", "warning"] as const;

const defaults: TerminalColors = { run: "34", cancel: "33", error: "31", warning: "33", faint: "2" };

/**
 * `NO_COLOR` (any value), and `BUILDKIT_COLORS`: `run=green:error=255,0,0`, names or RGB (BuildKit
 * util/progress/progressui/colors.go). Entries that make no sense leave the default.
 */
export function terminalColors(env: NodeJS.ProcessEnv = process.env): TerminalColors {
  if ((env["NO_COLOR"] ?? "") !== "") return {};
  const colors: { -readonly [K in keyof TerminalColors]: TerminalColors[K] } = { ...defaults };
  for (const entry of (env["BUILDKIT_COLORS"] ?? "").split(":")) {
    const [key, value, ...rest] = entry.replaceAll('"', "").split("=");
    const kind = kinds.find((name) => name === key?.toLowerCase());
    const color = rest.length === 0 && value !== undefined ? parseColor(value.toLowerCase()) : undefined;
    if (kind !== undefined && color !== undefined) colors[kind] = color;
  }
  return colors;
}

function parseColor(text: string): string | undefined {
  const named = names.indexOf(text.replace(/^light-/, ""));
  if (named >= 0) return String((text.startsWith("light-") ? 90 : 30) + named);
  const parts = text.split(",").map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : Number.NaN));
  return parts.length === 3 && parts.every((part) => part <= 255) ? `38;2;${parts.join(";")}` : undefined;
}

/** Text in a colour. */
export function paint(text: string, color: string | undefined): string {
  return color === undefined ? text : `\x1b[${color}m${text}\x1b[0m`;
}
