import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../core/seams/logger.ts";
import { randomId } from "../core/values/random-id.ts";

/**
 * The id lives with the data, in `<root>/agent-id`: what is found there under it is what the fleet knows of this agent. A file
 * that holds no id is moved to `agent-id.bak`; the agent is a new one then, and nobody counts on what it has.
 */
export async function agentId(root: string, logger: Logger): Promise<string> {
  const path = join(root, "agent-id");
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return undefined;
  });
  const found = text?.trim();
  if (found !== undefined && /^[a-z0-9]{25}$/.test(found)) return found;
  if (found !== undefined) {
    await rename(path, `${path}.bak`);
    logger.warn("damaged file moved aside", { path, movedTo: `${path}.bak` });
  }
  const id = randomId();
  await writeFile(`${path}.new`, `${id}\n`);
  await rename(`${path}.new`, path);
  return id;
}
