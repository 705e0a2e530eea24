const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** A number of bytes as buildctl shows it: `512B`, `1.23kB` (decimal units). */
export function formatBytes(bytes: number): string {
  const { value, unit } = scaled(bytes);
  return unit === "B" ? `${bytes}B` : `${value.toFixed(2)}${unit}`;
}

/** The same with no more digits than needed: `51GB`, `1.5kB`. */
export function formatBytesShort(bytes: number): string {
  const { value, unit } = scaled(bytes);
  return `${unit === "B" ? bytes : value}${unit}`;
}

function scaled(bytes: number): { value: number; unit: string } {
  let value = bytes;
  let at = 0;
  while (Math.abs(value) >= 1000 && at < units.length - 1) {
    value /= 1000;
    at++;
  }
  return { value, unit: units[at] ?? "B" };
}
