import { type Figure, moreIsBetter } from "../figure.ts";
import { summarize } from "../statistics.ts";
import type { Conditions } from "./machine.ts";

/** The figures as a Markdown table; the ratio is ours to the peer's, above 1 = we are better. */
export function figureTable(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => [
    figure.name,
    figure.unit,
    spread(figure.ours),
    figure.peer === undefined ? "–" : spread(figure.peer),
    figure.peer === undefined ? "–" : advantage(figure).toFixed(2),
    figure.note ?? "",
  ]);
  const head = ["", "unit", "ours: min · median · max", "peer: min · median · max", "times as good", ""];
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** How many times as good as the peer's our median is. */
export function advantage({ ours, peer, unit }: Figure): number {
  const own = summarize(ours).median;
  const other = summarize(peer ?? []).median;
  return moreIsBetter(unit) ? own / other : other / own;
}

function spread(samples: readonly number[]): string {
  const { min, median, max } = summarize(samples);
  return `${number(min)} · **${number(median)}** · ${number(max)}`;
}

function number(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

export function conditionLines(conditions: Conditions): string {
  const { cpu, memory, system, filesystem, versions, peer, client, loadAtStart } = conditions;
  return [
    `- machine: ${cpu}, ${memory}, ${system}, scratch on ${filesystem}; load average before: ${loadAtStart}`,
    `- versions: ${versions}`,
    `- peer: ${peer}`,
    `- client of both: ${client}`,
  ].join("\n");
}
