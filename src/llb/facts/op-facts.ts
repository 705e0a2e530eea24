import type * as pb from "../../api/gen/ops.ts";
import { sha256 } from "../../core/values/digest.ts";
import { formatPlatform, type Platform } from "../../core/values/platform.ts";
import { execFacts } from "./exec-facts.ts";
import { fileFacts } from "./file-facts.ts";
import { sourceFacts } from "./source-facts.ts";

/**
 * What an op says, for people: each part that decides about its cache key as a named text. Two ops whose facts are equal may still
 * differ in what is not shown: passwords in URLs, texts beyond a few kilobytes but for their digest.
 */
export type OpFacts = Readonly<Record<string, string>>;

const maxTextLength = 4096;
/** Whatever stands before the `@` of a URL over HTTP may be a token even without a password. */
const credentials = /(https?:\/\/)[^\s/?#@"']+@|([a-z][a-z0-9+.-]*:\/\/)[^\s/?#@:"']*:[^\s/?#@"']*@/gi;

/** @param pin what a source turned out to be */
export function opFacts({ op }: pb.Op, platform: Platform, pin?: string): OpFacts {
  const facts = Object.entries(factsOf(op, platform, pin)).map(([name, text]) => [shown(name), shown(text)]);
  return Object.fromEntries(facts);
}

function factsOf(op: pb.Op["op"], platform: Platform, pin: string | undefined): OpFacts {
  switch (op?.$case) {
    case "exec":
      return { ...execFacts(op.value), platform: formatPlatform(platform) };
    case "file":
      return fileFacts(op.value);
    case "source":
      return sourceFacts(op.value, platform, pin);
    case "merge":
      return { inputs: op.value.inputs.map(({ input }) => inputName(input)).join(", ") };
    case "diff":
      return { lower: inputName(op.value.lower?.input ?? -1), upper: inputName(op.value.upper?.input ?? -1) };
    case "build":
      return op.value.attrs;
    case "passthrough":
      return { id: op.value.id, outputs: op.value.outputs.join(", ") };
    default:
      return {};
  }
}

/** As it is said everywhere: inputs are counted from 1. */
function inputName(index: number): string {
  return index < 0 ? "scratch" : `input #${index + 1}`;
}

function shown(text: string): string {
  const safe = text.replace(credentials, (_match, http: string | undefined, other: string) => `${http ?? other}xxxxx@`);
  return safe.length <= maxTextLength ? safe : `${safe.slice(0, maxTextLength)}… (${sha256(text)})`;
}
