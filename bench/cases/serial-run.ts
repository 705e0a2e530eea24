import { randomUUID } from "node:crypto";
import type { BenchCase } from "./bench-case.ts";

const steps = 40;

/** What a step costs that does nothing. */
export const serialRun: BenchCase = {
  name: "serial-run",
  about: `${steps} RUN true one after the other, base image at hand`,
  async run(bench) {
    const base = await bench.baseImage();
    const head = `FROM ${base}\nARG SALT\n`;
    const warm = await bench.dockerfile(`${head}RUN true\n`);
    const serial = await bench.dockerfile(head + "RUN true\n".repeat(steps));
    return bench.compare(`${steps} serial RUN true`, bench.rounds(5), async (endpoint, time) => {
      await bench.client.prune(endpoint);
      await bench.client.build(endpoint, { dockerfile: warm, context: warm, buildArgs: { SALT: randomUUID() } });
      const spec = { dockerfile: serial, context: serial, buildArgs: { SALT: randomUUID() } };
      await time("", () => bench.client.build(endpoint, spec));
    });
  },
};
