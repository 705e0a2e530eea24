import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { type BuildClient, directoryOutput, fileOutput, pushOutput, type Sandbox } from "../helpers/sandbox/index.ts";
import { treeDigest } from "../helpers/tree-digest.ts";

export const kinds = ["files", "chain", "wide"] as const;
export type Kind = (typeof kinds)[number];

/** A build in a fleet that is disturbed. What comes out depends on its kind alone; no two names share a step. */
export class ChaosBuild {
  readonly kind: Kind;
  readonly name: string;
  /** Something was on its way to the client when the build ended: it is not sent twice. */
  sending = false;
  /** Steps that ran, and what they wrote. */
  log = "";
  readonly #sandbox: Sandbox;

  constructor(sandbox: Sandbox, kind: Kind, name: string) {
    this.#sandbox = sandbox;
    this.kind = kind;
    this.name = name;
  }

  /** @returns digest of the files that came out. @throws BuildError as the daemon says */
  async run(client: BuildClient, signal: AbortSignal): Promise<string> {
    const directory = await mkdtemp(join(this.#sandbox.root, "output-"));
    const image = this.#sandbox.image(`chaos:${this.name}`);
    const archive = join(this.#sandbox.root, `archive-${this.name}`);
    const outputs = {
      files: [directoryOutput(directory), pushOutput(image)],
      chain: [directoryOutput(directory), fileOutput("oci", archive)],
      wide: [directoryOutput(directory)],
    };
    await client.build({
      dockerfile: dockerfiles[this.kind](this.#sandbox, this.name),
      context: contextFiles,
      outputs: outputs[this.kind],
      signal,
      ...(this.kind === "files"
        ? { cacheExports: [{ type: "registry", attributes: { ref: `${image}-cache`, mode: "max" } }] }
        : {}),
      onLog: (text) => {
        this.log = text;
      },
      onVertex: ({ name, completed, error }) => {
        if (/^(exporting|sending)/.test(name)) this.sending = !completed || error !== "";
      },
    });
    return treeDigest(directory);
  }
}

const contextFiles = {
  "large.bin": Buffer.alloc(2 << 20, "large"),
  ...Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`sub/file-${i}`, `${i}`])),
};

const dockerfiles: { readonly [K in Kind]: (sandbox: Sandbox, name: string) => string } = {
  files: (sandbox, name) => `FROM ${sandbox.image("layered:latest")} AS base
COPY . /context/
RUN --mount=type=cache,target=/cache,id=shared : ${name}; echo ${name} >> /cache/names; cp -a /context /base
FROM base AS one
RUN : ${name}; for i in 1 2 3 4; do dd if=/dev/zero of=/base/$i bs=64k count=$i; done; sleep 0.3
FROM base AS two
RUN : ${name}; mkdir /out; for i in $(seq 50); do echo $i > /out/$i; done; sleep 0.5
FROM scratch
COPY --from=one --chown=3:4 /base /base
COPY --from=two --chmod=0711 /out /out
`,
  chain: (sandbox, name) =>
    [
      `FROM ${sandbox.image()}`,
      ...Array.from({ length: 6 }, (_, i) => `RUN : ${name}; echo ${i} >> /chain; sleep 0.2`),
      "RUN mkdir /result && mv /chain /result/",
      "",
    ].join("\n"),
  wide: (sandbox, name) => {
    const stages = Array.from({ length: 5 }, (_, i) => i);
    return [
      ...stages.flatMap((i) => [
        `FROM ${sandbox.image()} AS s${i}`,
        `RUN --mount=type=cache,target=/cache,id=locked-${i % 2},sharing=locked : ${name}; echo x >> /cache/x; echo ${i} > /f`,
      ]),
      "FROM scratch",
      ...stages.map((i) => `COPY --from=s${i} /f /f${i}`),
      "",
    ].join("\n");
  },
};
