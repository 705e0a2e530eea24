import { execFileSync } from "node:child_process";
import { readFileSync, realpathSync } from "node:fs";
import { dirname } from "node:path";
import type { LayerEntry } from "../../../deploy/demo/base-image.ts";

/**
 * Programs of this machine for an image, at their paths here.
 * @param programs absolute paths
 * @param others more files whose libraries are needed, but not they themselves
 */
export function programEntries(programs: readonly string[], others: readonly string[] = []): LayerEntry[] {
  const libraries = [...programs, ...others].flatMap((path) => librariesOf(path));
  const files = [...new Set([...programs, ...libraries])];
  const directories = new Set(files.flatMap((file) => parentsOf(file)));
  return [
    ...[...directories].sort().map((path): LayerEntry => ({ path: path.slice(1), directory: true })),
    ...files.map((path): LayerEntry => ({ path: path.slice(1), data: readFileSync(realpathSync(path)), mode: 0o755 })),
  ];
}

/** `ldd` writes `libc.so.6 => /lib/…/libc.so.6 (0x…)`, and the loader by its path alone. */
function librariesOf(path: string): string[] {
  const output = execFileSync("ldd", [path], { encoding: "utf8" });
  return [...output.matchAll(/^\s+(?:\S+ => )?(\/\S+) \(0x/gm)].map(([, library]) => library ?? "");
}

function parentsOf(path: string): string[] {
  const parent = dirname(path);
  return parent === "/" ? [] : [...parentsOf(parent), parent];
}
