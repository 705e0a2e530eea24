import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { quote } from "../text.ts";

const unitNanos = new Map<string, bigint>([
  ["ns", 1n],
  ["us", 1_000n],
  ["µs", 1_000n],
  ["μs", 1_000n],
  ["ms", 1_000_000n],
  ["s", 1_000_000_000n],
  ["m", 60_000_000_000n],
  ["h", 3_600_000_000_000n],
]);

const maxNanos = 2n ** 63n;

/** Nanoseconds of a duration such as `1h30m` or `-1.5s`, as Go's time.ParseDuration reads it. @throws BuildError */
export function parseDuration(text: string): bigint {
  const negative = text.startsWith("-");
  let rest = text.replace(/^[+-]/, "");
  if (rest === "0") return 0n;
  if (rest === "") throw invalid(text);
  let total = 0n;
  while (rest !== "") {
    const [, number = "", whole = "", fraction = ""] = /^((\d*)(?:\.(\d*))?)/.exec(rest) ?? [];
    if (whole === "" && fraction === "") throw invalid(text);
    if (BigInt(whole || "0") > maxNanos) throw invalid(text);
    rest = rest.slice(number.length);
    const unit = /^[^.\d]*/.exec(rest)?.[0] ?? "";
    if (unit === "") throw fault(`time: missing unit in duration ${quote(text)}`);
    const nanos = unitNanos.get(unit);
    if (nanos === undefined) throw fault(`time: unknown unit ${quote(unit)} in duration ${quote(text)}`);
    rest = rest.slice(unit.length);
    const scale = 10n ** BigInt(fraction.length);
    total += BigInt(whole || "0") * nanos + (BigInt(fraction || "0") * nanos) / scale;
    if (total > maxNanos) throw invalid(text);
  }
  if (!negative && total === maxNanos) throw invalid(text);
  return negative ? -total : total;
}

function invalid(text: string): BuildError {
  return fault(`time: invalid duration ${quote(text)}`);
}

function fault(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
