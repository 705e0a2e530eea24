import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Figure, Unit } from "../figure.ts";
import type { Workbench } from "../workbench.ts";
import type { BenchCase } from "./bench-case.ts";

/**
 * Content digests as a build needs them: of a context, where they come with the files; of what a step has made, where they are
 * read from disk; and of a context in which one file has changed.
 */
export const contentDigests: BenchCase = {
  name: "content-digests",
  about:
    "content digests of 20,000 small files and of 500 MB: COPY of a context, then with one file changed; a mount of it",
  async run(bench) {
    const many = await digests(bench, "20,000 files", await bench.manyFiles(), "files/s", 20_000 * bench.scale);
    return [...many, ...(await digests(bench, "500 MB", await bench.bigTree(), "MB/s", 500 * bench.scale))];
  },
};

async function digests(bench: Workbench, name: string, context: string, unit: Unit, amount: number): Promise<Figure[]> {
  const base = await bench.baseImage();
  const made = `FROM ${base} AS made\nCOPY . /in/\n`;
  const copy = await bench.dockerfile(made);
  // A read-only mount asks for the content digest of what it shows and copies nothing.
  const mount = await bench.dockerfile(`${made}FROM ${base}\nRUN --mount=from=made,source=/in,target=/in true\n`);
  const changed = join(context, "changed");
  const times = await bench.compare(name, bench.rounds(3), async (endpoint, time) => {
    await bench.client.prune(endpoint);
    await writeFile(changed, randomBytes(1000));
    await time("COPY", () => bench.client.build(endpoint, { dockerfile: copy, context }));
    await time("digest of what COPY made", () => bench.client.build(endpoint, { dockerfile: mount, context }));
    await writeFile(changed, randomBytes(1000));
    await time("COPY with one file changed", () => bench.client.build(endpoint, { dockerfile: copy, context }));
  });
  const rate = (samples: readonly number[]) => samples.map((seconds) => amount / seconds);
  return times.map((figure) =>
    figure.name.endsWith("CPU")
      ? figure
      : { ...figure, unit, ours: rate(figure.ours), ...(figure.peer === undefined ? {} : { peer: rate(figure.peer) }) },
  );
}
