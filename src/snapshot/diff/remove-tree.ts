import { rmdirSync, unlinkSync } from "node:fs";
import { type ByteString, joinBytes, toBytes } from "../../util/sys/index.ts";
import { isDirectory, lstatIfExists, namesIn } from "./overlay-form.ts";

/** Deletes a path and all below it; no error when it is absent. Links are not followed. */
export function removeTree(path: ByteString): void {
  const stat = lstatIfExists(path);
  if (stat === undefined) return;
  if (!isDirectory(stat)) {
    unlinkSync(toBytes(path));
    return;
  }
  for (const name of namesIn(path)) removeTree(joinBytes(path, name));
  rmdirSync(toBytes(path));
}
