import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { parseBool } from "../core/values/export-attributes.ts";

/** As parseBool, but a key given without a value means true. */
export function parseFlag(key: string, value: string): boolean {
  return value === "" ? true : parseBool(key, value);
}

/** `source-date-epoch` in Unix seconds; empty means: explicitly none. @throws BuildError Unknown, as BuildKit: clients print the bare text */
export function parseEpoch(key: string, value: string): number | undefined {
  if (value === "") return undefined;
  if (!/^[+-]?\d+$/.test(value)) {
    // BuildKit says it twice.
    const cause = `strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`;
    throw new BuildError(Code.Unknown, `invalid ${key}: ${cause}: ${cause}`);
  }
  return Number(value);
}

/** The epoch of an export: the exporter's own attribute, else what the frontend says for the platform or for all. */
export interface EpochChoice {
  /** True when the attribute was given, even if empty. */
  readonly explicit: boolean;
  readonly seconds?: number;
}

/** `source.date.epoch[/<platform>]` of a result (BuildKit exporter/util/epoch). */
export function epochFor(
  choice: EpochChoice,
  metadata: ReadonlyMap<string, Uint8Array>,
  platformId: string | undefined,
): number | undefined {
  if (choice.explicit) return choice.seconds;
  const key = "source.date.epoch";
  const own = platformId === undefined ? undefined : metadata.get(`${key}/${platformId}`);
  const value = own ?? metadata.get(key);
  if (value === undefined) return undefined;
  return parseEpoch("SOURCE_DATE_EPOCH from frontend", new TextDecoder().decode(value));
}
