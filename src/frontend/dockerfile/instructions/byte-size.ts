/** Powers of 1024. */
const units = "bkmgtp";

/**
 * Bytes of a size such as `64m`, `1.5GiB` or `100` (docker/go-units, RAMInBytes). Undefined when it is none.
 */
export function parseByteSize(text: string): number | undefined {
  const match = /^(.*[0-9.]) ?(.*)$/s.exec(text);
  const [, number = "", suffix = ""] = match ?? [];
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(number)) return undefined;
  const size = Number(number);
  if (size < 0) return undefined;
  const unit = suffix.toLowerCase();
  if (unit === "" || unit === "b") return Math.trunc(size);
  if (!/^[kmgtp](i?b)?$/.test(unit)) return undefined;
  return Math.trunc(size * 1024 ** units.indexOf(unit.charAt(0)));
}
