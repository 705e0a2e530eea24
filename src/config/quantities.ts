/** A size of disk space as configured: bytes, or a share of the disk. */
export type DiskSpace = { readonly bytes: number } | { readonly percent: number };

const sizeText = /^(\d+(?:\.\d+)?) ?(?:([kmgtp])?i?b?)$/i;
const powers = ["", "k", "m", "g", "t", "p"];

/** Bytes of `512`, `10GB`, `1.5GiB`, in powers of 1024 as docker/go-units RAMInBytes; undefined for other texts. */
export function parseByteSize(text: string): number | undefined {
  const match = sizeText.exec(text.trim());
  if (match === null) return undefined;
  return Math.floor(Number(match[1]) * 1024 ** powers.indexOf((match[2] ?? "").toLowerCase()));
}

/** A size or `20%`; undefined for other texts. */
export function parseDiskSpace(text: string): DiskSpace | undefined {
  const percent = /^(\d+)%$/.exec(text.trim())?.[1];
  if (percent !== undefined) return { percent: Number(percent) };
  const bytes = parseByteSize(text);
  return bytes === undefined ? undefined : { bytes };
}

/** A share of the disk is rounded up to whole gigabytes (BuildKit cmd/buildkitd/config/gcpolicy.go). */
export function diskSpaceBytes(space: DiskSpace, diskBytes: number): number {
  if ("bytes" in space) return space.bytes;
  if (space.percent === 0) return 0;
  return (Math.floor(((diskBytes / 100) * space.percent) / 2 ** 30) + 1) * 1e9;
}

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const durationPart = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d)/y;

/** Milliseconds of `48h`, `1h30m`, or a bare number of seconds; undefined for other texts. Days are 24 hours. */
export function parseDurationMs(text: string): number | undefined {
  const trimmed = text.trim();
  if (/^\d+$/.test(trimmed)) return Number(trimmed) * 1000;
  let total = 0;
  durationPart.lastIndex = 0;
  while (durationPart.lastIndex < trimmed.length) {
    const match = durationPart.exec(trimmed);
    if (match === null) return undefined;
    total += Number(match[1]) * (unitMs[match[2] ?? ""] ?? 0);
  }
  return trimmed === "" ? undefined : total;
}
