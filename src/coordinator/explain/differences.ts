import type { StepRecord } from "../history/index.ts";
import { isLocal } from "../history/index.ts";
import type { Cause, InputCause } from "./explanation.ts";
import { type StepPairs, sameKeys } from "./step-pairs.ts";

export interface DifferenceOptions {
  /** Names of arguments that either build was given. */
  readonly buildArguments: ReadonlySet<string>;
}

/** What makes a step another one than an earlier; empty when nothing does. */
export function differences(pairs: StepPairs, oursAt: number, theirsAt: number, options: DifferenceOptions): Cause[] {
  if (pairs.same(oursAt, theirsAt)) return [];
  const ours = pairs.ours[oursAt] as StepRecord;
  const theirs = pairs.theirs[theirsAt] as StepRecord;
  const parts = partCauses(ours, theirs, options);
  const inputs = inputCauses(pairs, ours, theirs, options);
  const causes = [...parts, ...inputs];
  if (parts.length === 0 && !sameKeys(ours, theirs)) causes.unshift({ kind: "hidden" });
  return causes.length > 0 ? causes : [{ kind: "hidden" }];
}

/** True for an input whose step is explained by itself. */
export function isExplained(step: StepRecord | undefined): boolean {
  return step !== undefined && !isLocal(step) && (step.how === "ran" || step.how === "failed");
}

function partCauses(ours: StepRecord, theirs: StepRecord, { buildArguments }: DifferenceOptions): Cause[] {
  const before = theirs.facts;
  const after = ours.facts;
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (name) => before[name] !== after[name],
  );
  // Another image has another digest anyway.
  const shown = names.includes("image") ? names.filter((name) => name !== "digest") : names;
  return shown.map((name): Cause => {
    const [old, now] = [before[name], after[name]];
    const origin = name === "digest" ? after["image"] : name === "commit" ? after["source"] : undefined;
    if (origin !== undefined && old !== undefined && now !== undefined && !names.includes("source")) {
      return { kind: "moved", what: origin, before: old, after: now };
    }
    return part(partName(name, buildArguments), old, now);
  });
}

function part(what: string, before: string | undefined, after: string | undefined): Cause {
  return {
    kind: "part",
    what,
    ...(before === undefined ? {} : { before }),
    ...(after === undefined ? {} : { after }),
  };
}

function partName(name: string, buildArguments: ReadonlySet<string>): string {
  const variable = /^variable (.*)$/s.exec(name)?.[1];
  return variable !== undefined && buildArguments.has(variable) ? `build argument ${variable}` : name;
}

function inputCauses(pairs: StepPairs, ours: StepRecord, theirs: StepRecord, options: DifferenceOptions): Cause[] {
  const causes: Cause[] = [];
  for (let index = 0; index < Math.max(ours.inputs.length, theirs.inputs.length); index++) {
    const now = ours.inputs[index];
    const old = theirs.inputs[index];
    const source = now && pairs.ours[now.step];
    if (now === undefined || old === undefined || source === undefined) {
      causes.push(part(`input #${index + 1}`, old && pairs.theirs[old.step]?.name, source?.name));
    } else if (isLocal(source) && now.content === undefined) {
      causes.push({ kind: "session", input: index, name: source.name });
    } else if (!pairs.sameInput(now, old)) {
      const contents = now.content && old.content ? { before: old.content, after: now.content } : undefined;
      const because = isExplained(source) ? undefined : deeper(pairs, now.step, old.step, options);
      causes.push({
        kind: "input",
        input: index,
        name: source.name,
        ...(contents === undefined ? {} : { contents }),
        ...(because === undefined ? {} : { because }),
      });
    }
  }
  return causes;
}

/** The first step on the way down that differs by itself; undefined when that is what the client sent. */
function deeper(pairs: StepPairs, oursAt: number, theirsAt: number, options: DifferenceOptions): InputCause["because"] {
  let at: readonly [number, number] = [oursAt, theirsAt];
  for (;;) {
    const ours = pairs.ours[at[0]];
    const theirs = pairs.theirs[at[1]];
    if (ours === undefined || theirs === undefined || isLocal(ours)) return undefined;
    if (ours.ignoreCache) return { step: ours.name, causes: [{ kind: "no-cache" }] };
    const next = sameKeys(ours, theirs) ? differingInput(pairs, ours, theirs) : undefined;
    if (next !== undefined) {
      at = next;
      continue;
    }
    if (pairs.same(...at)) return undefined;
    const parts = partCauses(ours, theirs, options);
    return { step: ours.name, causes: parts.length > 0 ? parts : [{ kind: "hidden" }] };
  }
}

function differingInput(pairs: StepPairs, ours: StepRecord, theirs: StepRecord): readonly [number, number] | undefined {
  for (const [index, now] of ours.inputs.entries()) {
    const old = theirs.inputs[index];
    if (old !== undefined && !pairs.sameInput(now, old)) return [now.step, old.step];
  }
  return undefined;
}
