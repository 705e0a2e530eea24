import { randomUUID } from "node:crypto";
import { chmodSync, chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SecretOpt } from "../../../api/gen/ops.ts";
import type { MountArea } from "./mount-area.ts";

/** A secret's file on a tmpfs of its own, and how it is mounted (BuildKit solver/llbsolver/mounts secretMountInstance). */
export interface SecretFile extends Disposable {
  readonly path: string;
  readonly mountOptions: readonly string[];
}

export function makeSecretFile(
  area: MountArea,
  value: Uint8Array,
  options: Pick<SecretOpt, "uid" | "gid" | "mode">,
): SecretFile {
  const executable = (options.mode & 0o111) !== 0;
  const tmpfs = area.tmpfs({ executable });
  try {
    const path = join(tmpfs.path, randomUUID());
    writeFileSync(path, value, { mode: 0o600 });
    chownSync(path, options.uid, options.gid);
    chmodSync(path, options.mode & 0o777);
    return {
      path,
      mountOptions: ["ro", "rbind", "nodev", "nosuid", ...(executable ? [] : ["noexec"])],
      [Symbol.dispose]: () => tmpfs[Symbol.dispose](),
    };
  } catch (error) {
    tmpfs[Symbol.dispose]();
    throw error;
  }
}
