import { BuildHistoryRecord } from "../../../../src/api/gen/control.ts";
import { timestampFromMs } from "../../../../src/coordinator/front-door/timestamp.ts";
import type { StepInput, StepRecord } from "../../../../src/coordinator/history/index.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";

/** A step that ran; its key follows from its facts unless told otherwise. @param inputs places of steps in the list */
export function step(
  name: string,
  facts: Readonly<Record<string, string>>,
  inputs: readonly (number | StepInput)[] = [],
  more: Partial<StepRecord> = {},
): StepRecord {
  const kind = more.kind ?? "exec";
  return {
    digest: sha256(`${name} ${JSON.stringify([facts, inputs])}`),
    name,
    kind,
    how: "ran",
    keys: [sha256(`${kind} ${JSON.stringify(facts)}`)],
    inputs: inputs.map((input) => (typeof input === "number" ? { step: input, output: 0 } : input)),
    facts,
    ...more,
  };
}

/** Files of a client, which are another source in each session. */
export function local(session: string): StepRecord {
  const keys = [`random:${session}`];
  return step("[internal] load build context", { source: "local://context" }, [], { kind: "source", keys });
}

/** A copy of files with this content. */
export function copy(name: string, source: number, content: string, base = 0): StepRecord {
  const inputs = [
    { step: base, output: 0 },
    { step: source, output: 0, content: sha256(content) },
  ];
  return step(name, { "copy destination": "/" }, inputs, { kind: "file" });
}

export function image(name: string, digest = sha256(name), more: Partial<StepRecord> = {}): StepRecord {
  return step(`[1/3] FROM ${name}@${digest}`, { image: name, digest }, [], { kind: "source", ...more });
}

/** A build that took a minute. @param minute of its start */
export function recorded(
  ref: string,
  minute: number,
  attributes: Readonly<Record<string, string>> = {},
): BuildHistoryRecord {
  return BuildHistoryRecord.fromPartial({
    Ref: ref,
    FrontendAttrs: { ...attributes },
    CreatedAt: timestampFromMs(minute * 60_000),
    CompletedAt: timestampFromMs((minute + 1) * 60_000),
  });
}
