import type { Range } from "../../../api/gen/ops.ts";
import type { FrontendResult } from "../../../core/seams/llb-bridge.ts";
import type { BuildStage, RequestInfo } from "../convert/index.ts";
import { locationJson } from "./pb-json.ts";
import { outlineRequest, subrequestResult } from "./request.ts";
import { textTable } from "./text-table.ts";

interface Entry {
  readonly name: string;
  readonly location: readonly Range[];
}

/** `frontend.outline`: args, secrets and SSH agents which the target can be given. */
export function outlineOf(stage: BuildStage, dockerfile: Uint8Array): FrontendResult {
  const { name, docComment } = stage.definition;
  const args = inFileOrder(usedArgs(stage));
  const secrets = inFileOrder(requests(stage, (each) => each.outline.secrets));
  const ssh = inFileOrder(requests(stage, (each) => each.outline.ssh));
  const json = {
    ...(name === "" ? {} : { name }),
    ...(docComment === "" ? {} : { description: docComment }),
    ...(args.length === 0
      ? {}
      : {
          args: args.map((arg) => ({
            name: arg.name,
            ...(arg.description === "" ? {} : { description: arg.description }),
            ...(arg.value === "" ? {} : { value: arg.value }),
            ...locationPart(arg),
          })),
        }),
    ...(secrets.length === 0 ? {} : { secrets: secrets.map(requestJson) }),
    ...(ssh.length === 0 ? {} : { ssh: ssh.map(requestJson) }),
    sources: [Buffer.from(dockerfile).toString("base64")],
  };
  return subrequestResult(outlineRequest, json, { "result.txt": outlineText(name, docComment, args, secrets, ssh) });
}

interface ArgEntry extends Entry {
  readonly value: string;
  readonly description: string;
}

/** The stage's own args first, then those of its base stages and of the stages it reads from. */
function usedArgs(target: BuildStage): ArgEntry[] {
  const found = new Map<string, ArgEntry>();
  for (const stage of target.reachable()) {
    for (const key of stage.outline.allUsedArgs()) {
      const arg = stage.outline.args.get(key);
      if (arg === undefined || found.has(key)) continue;
      const { definition, value, location } = arg;
      found.set(key, { name: definition.key, value, description: definition.docComment, location });
    }
  }
  return [...found.values()];
}

interface RequestEntry extends Entry {
  readonly required: boolean;
}

function requests(target: BuildStage, of: (stage: BuildStage) => ReadonlyMap<string, RequestInfo>): RequestEntry[] {
  const found = new Map<string, RequestEntry>();
  for (const stage of target.reachable()) {
    for (const [name, info] of of(stage)) if (!found.has(name)) found.set(name, { name, ...info });
  }
  return [...found.values()];
}

function inFileOrder<T extends Entry>(entries: readonly T[]): T[] {
  const line = ({ location }: Entry) => location[0]?.start?.line ?? 0;
  return entries.toSorted((a, b) => line(a) - line(b));
}

function requestJson(entry: RequestEntry): object {
  return { name: entry.name, ...(entry.required ? { required: true } : {}), ...locationPart(entry) };
}

function locationPart({ location }: Entry): { readonly location?: object } {
  return location.length === 0 ? {} : { location: locationJson({ sourceIndex: 0, ranges: [...location] }) };
}

function outlineText(
  name: string,
  description: string,
  args: readonly ArgEntry[],
  secrets: readonly RequestEntry[],
  ssh: readonly RequestEntry[],
): string {
  let text = "";
  if (name !== "" || description !== "") {
    const rows = [["TARGET:", name === "" ? "(default)" : name]];
    if (description !== "") rows.push(["DESCRIPTION:", description]);
    text += `${textTable(rows, 1)}\n`;
  }
  if (args.length > 0) {
    const rows = args.map((arg) => [arg.name, arg.value, arg.description]);
    text += `${textTable([["BUILD ARG", "VALUE", "DESCRIPTION"], ...rows], 3)}\n`;
  }
  for (const [title, entries] of [["SECRET", secrets] as const, ["SSH", ssh] as const]) {
    if (entries.length === 0) continue;
    const rows = entries.map((entry) => [entry.name, entry.required ? "true" : ""]);
    text += `${textTable([[title, "REQUIRED"], ...rows], 3)}\n`;
  }
  return text;
}
