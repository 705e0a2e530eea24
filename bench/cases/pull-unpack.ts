import { randomUUID } from "node:crypto";
import type { BenchCase } from "./bench-case.ts";

/** A base image that nobody has yet, until the first step has run on it. */
export const pullUnpack: BenchCase = {
  name: "pull-unpack",
  about: "pull and unpack of a 500 MB image of 6 layers from a registry on loopback, and one RUN true on it",
  async run(bench) {
    const base = await bench.baseImage();
    const layers = [0, 1, 2, 3, 4].map((part) => `COPY ${part} /data/${part}\n`);
    const image = await bench.pushImage("big", await bench.bigTree(), `FROM ${base}\n${layers.join("")}`);
    const dockerfile = await bench.dockerfile(`FROM ${image}\nARG SALT\nRUN true\n`);
    return bench.compare("pull and unpack of 500 MB", bench.rounds(3), async (endpoint, time) => {
      await bench.client.prune(endpoint);
      const spec = { dockerfile, context: dockerfile, buildArgs: { SALT: randomUUID() } };
      await time("", () => bench.client.build(endpoint, spec));
    });
  },
};
