import { readdir, readFile } from "node:fs/promises";
import { sleep } from "../util/abort.ts";

const killPatienceMs = 5000;
const checkEveryMs = 10;

/** Processes with `argument` among those they were started with. */
export async function processesNaming(argument: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    if ((await commandLine(Number(name))).includes(argument)) found.push(Number(name));
  }
  return found;
}

/** Kills processes and waits a while for their end. */
export async function killProcesses(ids: readonly number[]): Promise<void> {
  const giveUpAt = performance.now() + killPatienceMs;
  for (const id of ids) {
    while ((await commandLine(id)).length > 0 && performance.now() < giveUpAt) {
      try {
        process.kill(id, "SIGKILL");
      } catch {
        // It has just ended.
      }
      await sleep(checkEveryMs);
    }
  }
}

/** Empty for a process that has ended, whether or not its parent has taken notice. */
async function commandLine(id: number): Promise<readonly string[]> {
  const text = await readFile(`/proc/${id}/cmdline`, "utf8").catch(() => "");
  return text === "" ? [] : text.split("\0");
}
