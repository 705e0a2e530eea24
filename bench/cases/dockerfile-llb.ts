import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { BenchCase } from "./bench-case.ts";

/** Reading and converting alone: nothing is built. */
export const dockerfileLlb: BenchCase = {
  name: "dockerfile-llb",
  about: "a Dockerfile of 200 stages and 2,000 instructions, converted to LLB",
  async run(bench) {
    const stages = Math.round(200 * bench.scale);
    const context = join(bench.directory, "empty-context");
    await mkdir(context, { recursive: true });
    const options = { requestid: "frontend.convertllb", "frontend.caps": "moby.buildkit.frontend.subrequests" };
    const name = `${stages} stages of 10 instructions to LLB`;
    return bench.compare(name, bench.rounds(9), async (endpoint, time) => {
      const dockerfile = await bench.dockerfile(manyStages(stages, randomUUID()));
      await time("", () => bench.client.build(endpoint, { dockerfile, context, options }));
    });
  },
};

/** Chains of five stages, each on the one before; each takes files from the stage before that. */
function manyStages(stages: number, salt: string): string {
  const stage = (index: number) => `FROM ${index % 5 === 0 ? "base" : `s${index - 1}`} AS s${index}
ARG VERSION=${index} FLAVOUR
ENV PATH=/opt/\${FLAVOUR:-plain}/$VERSION:$PATH STAGE=${index}
WORKDIR /work/\${STAGE}
COPY --from=${index < 2 ? "base" : `s${index - 2}`} --chmod=0644 /a/file /b/*.txt ./from/
COPY <<EOF /etc/config-${index}
version = $VERSION
EOF
RUN --mount=type=cache,target=/cache/\${VERSION} build --version "$VERSION" --stage $STAGE && install
RUN ["test", "-e", "/work"]
LABEL org.example.stage=${index} org.example.salt="${salt}"
EXPOSE ${8000 + index}/tcp
`;
  return `FROM scratch AS base\n${Array.from({ length: stages }, (_, index) => stage(index)).join("")}`;
}
