import type { StepRecord } from "../history/index.ts";

/** A vertex's name in the parts that say whether two are about the same. */
export interface StepName {
  /** `stage 2/3` of `[stage 2/3] RUN make`; empty without. */
  readonly position: string;
  /** The rest, without digests. */
  readonly title: string;
  /** Of the title, without the instruction. */
  readonly words: ReadonlySet<string>;
}

export function stepName({ name }: Pick<StepRecord, "name">): StepName {
  const [, position = "", text = ""] = /^(?:\[([^\]]*)\] )?(.*)$/s.exec(name) ?? [];
  const title = text.replace(/@sha256:[0-9a-f]{64}/g, "");
  const words = title.split(/\s+/);
  return { position, title, words: new Set(/^[A-Z]+$/.test(words[0] ?? "") ? words.slice(1) : words) };
}

/** From 0 to 1 (Dice). */
export function commonShare(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  if (a.size + b.size === 0) return 0;
  let common = 0;
  for (const item of a) if (b.has(item)) common++;
  return (2 * common) / (a.size + b.size);
}
