import type { ChownOpt, FileAction, FileOp, UserOpt } from "../../api/gen/ops.ts";
import { sha256 } from "../../core/values/digest.ts";
import type { OpFacts } from "./op-facts.ts";

/** Names of fields that are no words. */
const words: Readonly<Record<string, string>> = {
  src: "source",
  dest: "destination",
  oldpath: "target",
  newpath: "path",
  modeStr: "mode",
  includePatterns: "include patterns",
  excludePatterns: "exclude patterns",
  requiredPaths: "required paths",
  dirCopyContents: "copy the contents of directories",
  attemptUnpackDockerCompatibility: "unpack archives",
  createDestPath: "create the destination",
  alwaysReplaceExistingDestPaths: "replace what is there",
  allowWildcard: "wildcards",
  allowEmptyWildcard: "wildcards without a match",
  allowNotFound: "missing files",
  followSymlink: "follow links",
  makeParents: "make parents",
};

const shortDigestLength = "sha256:".length + 12;

/** Of several actions each has its number in the names: `copy 2 source`. */
export function fileFacts({ actions }: FileOp): OpFacts {
  return Object.assign({}, ...actions.map((action, index) => actionFacts(action, actions.length > 1 ? index + 1 : 0)));
}

function actionFacts({ action, input, secondaryInput, output }: FileAction, number: number): OpFacts {
  if (action === undefined) return {};
  const title = number === 0 ? action.$case : `${action.$case} ${number}`;
  const facts: Record<string, string> = { [`${title} inputs`]: `${input}, ${secondaryInput} -> ${output}` };
  for (const [field, value] of Object.entries(action.value)) {
    const text = valueText(field, value);
    if (text !== "") facts[`${title} ${words[field] ?? field}`] = text;
  }
  return facts;
}

function valueText(field: string, value: string | boolean | number | bigint | object | undefined): string {
  if (value === undefined || value === "" || value === false || value === 0) return "";
  // Not set.
  if ((typeof value === "number" || typeof value === "bigint") && value < 0) return "";
  if (field === "mode") return `0${Number(value).toString(8)}`;
  if (field === "timestamp") return new Date(Number(value) / 1e6).toISOString();
  if (value === true) return "yes";
  if (value instanceof Uint8Array) return `${value.length} bytes, ${sha256(value).slice(0, shortDigestLength)}`;
  if (Array.isArray(value)) return value.join(", ");
  return typeof value === "object" ? ownerText(value as ChownOpt) : String(value);
}

function ownerText({ user, group }: ChownOpt): string {
  return [user, group].map(userText).join(":");
}

function userText(option: UserOpt | undefined): string {
  const user = option?.user;
  return user?.$case === "byName" ? user.value.name : String(user?.value ?? "");
}
