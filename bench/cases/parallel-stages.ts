import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { Fleet } from "../endpoints/fleet.ts";
import type { Figure } from "../figure.ts";
import { summarize } from "../statistics.ts";
import { secondsOf, type Workbench } from "../workbench.ts";
import type { BenchCase } from "./bench-case.ts";

const stages = 8;
const sleepSeconds = 5;

/** What a second, fourth, eighth machine brings. All of them are processes on this one, so the steps sleep. */
export const parallelStages: BenchCase = {
  name: "parallel-stages",
  about: `${stages} independent stages of RUN sleep ${sleepSeconds} on 1, 2, 4, 8 agents of one slot each`,
  async run(bench) {
    const dockerfile = await writeStages(bench);
    const build = async (endpoint: Fleet["endpoint"]) =>
      bench.client.build(endpoint, {
        dockerfile,
        context: dockerfile,
        buildArgs: { SALT: randomUUID(), SECONDS: `${sleepSeconds}` },
      });
    await using fleet = await Fleet.start(join(bench.directory, "fleet"));
    const figures: Figure[] = [];
    const name = `${stages} × sleep ${sleepSeconds}`;
    let alone: number | undefined;
    for (const agents of [1, 2, 4, 8]) {
      await fleet.grow(agents);
      await warm(bench, fleet, dockerfile);
      const ours: number[] = [];
      for (let round = 0; round < bench.rounds(agents === 1 ? 1 : 3); round++) {
        ours.push(await secondsOf(() => build(fleet.endpoint)));
        bench.say(`  ${agents} agents: ${ours.at(-1)?.toFixed(3)} s`);
      }
      const { median } = summarize(ours);
      alone ??= median;
      const note = agents === 1 ? {} : { note: `${(alone / median).toFixed(2)} times as fast as one agent` };
      figures.push({ name: `${name} on ${agents} agent${agents === 1 ? "" : "s"}`, unit: "s", ours, ...note });
    }
    return figures;
  },
};

async function writeStages(bench: Workbench): Promise<string> {
  const base = await bench.baseImage();
  const lines = [];
  for (let stage = 0; stage < stages; stage++) {
    lines.push(`FROM ${base} AS stage-${stage}`, "ARG SALT", "ARG SECONDS");
    lines.push(`RUN sleep $SECONDS && echo ${stage} > /out`);
  }
  lines.push("FROM scratch");
  for (let stage = 0; stage < stages; stage++) lines.push(`COPY --from=stage-${stage} /out /${stage}`);
  return bench.dockerfile(`${lines.join("\n")}\n`);
}

/** Every agent gets the base image, and its threads their code, before time is taken. */
async function warm(bench: Workbench, fleet: Fleet, dockerfile: string): Promise<void> {
  await bench.client.build(fleet.endpoint, {
    dockerfile,
    context: dockerfile,
    buildArgs: { SALT: randomUUID(), SECONDS: "1" },
  });
}
