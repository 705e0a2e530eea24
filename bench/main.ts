import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cases } from "./cases/index.ts";
import { BuildctlClient } from "./clients/buildctl-client.ts";
import { OwnClient } from "./clients/own-client.ts";
import type { Figure } from "./figure.ts";
import { parseOptions, usage } from "./options.ts";
import { conditions } from "./report/machine.ts";
import { conditionLines, figureTable } from "./report/table.ts";
import { Workbench } from "./workbench.ts";

const say = (line: string) => process.stderr.write(`${line}\n`);
const options = parseOptions(process.argv.slice(2), process.env);
const chosen = cases.filter(
  ({ name }) => options.only.length === 0 || options.only.some((wanted) => name.startsWith(wanted)),
);

if (options.help) {
  process.stdout.write(usage);
} else if (options.list) {
  for (const { name, about } of cases) process.stdout.write(`${name.padEnd(20)} ${about}\n`);
} else if (chosen.length === 0) {
  throw new Error(`no case is called ${options.only.join(" or ")}; see --list`);
} else {
  await measure();
}

async function measure(): Promise<void> {
  const interrupted = new Promise<never>((_, reject) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => reject(new Error(name)));
  });
  interrupted.catch(() => {});
  const directory = await mkdtemp(join(tmpdir(), "buildfleet-bench-"));
  const figures: Figure[] = [];
  try {
    const client = (await BuildctlClient.find()) ?? new OwnClient();
    const { peer } = options;
    if (peer === undefined) say("PEER_ADDR is not set: nothing to compare with, own figures only");
    const circumstances = await conditions(directory, client.description, peer);
    await using bench = new Workbench({ ...options, directory, client, say });
    for (const one of chosen) {
      say(`${one.name}: ${one.about}`);
      const start = performance.now();
      try {
        figures.push(...(await Promise.race([one.run(bench), interrupted])));
      } catch (error) {
        process.exitCode = 1;
        if (error instanceof Error && error.message.startsWith("SIG")) throw error;
        say(`  failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
      say(`  took ${((performance.now() - start) / 1000).toFixed(0)} s`);
    }
    process.stdout.write(`\n${conditionLines(circumstances)}\n\n${figureTable(figures)}\n`);
    if (options.json !== undefined) {
      await writeFile(options.json, `${JSON.stringify({ conditions: circumstances, figures }, null, 2)}\n`);
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
