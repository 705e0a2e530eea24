import { rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { SandboxAgent } from "../helpers/sandbox/index.ts";
import type { Fault } from "./fault.ts";

/** An agent's disk without a byte left. @param small the agent with a disk of its own */
export function fullDisk(small: SandboxAgent): Fault {
  return {
    name: "full disk",
    lastsMs: [500, 6000],
    victims: () => (small.process.running ? [small] : []),
    inject: async () => {
      const path = join(small.root, "filler");
      const { bavail, bsize } = await statfs(small.root);
      await writeFile(path, Buffer.alloc(bavail * bsize)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOSPC") throw error;
      });
      return () => rm(path, { force: true });
    },
  };
}
