import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { type BuildClient, directoryOutput, pushOutput, type Sandbox } from "../../../helpers/sandbox/index.ts";
import { treeDigest } from "../../../helpers/tree-digest.ts";

/**
 * One build of everything that writes to disks: a context, steps side by side, a cache mount, files, a push, a cache export.
 * Its result is the same whatever its `name`, but no two names share a step.
 */
export class CrashBuild {
  /** Steps the client was told were complete, ever. */
  readonly complete = new Set<string>();
  /** Files were on their way to the client when the last run ended: what of them has arrived is not sent twice. */
  sending = false;
  readonly #sandbox: Sandbox;
  readonly #name: string;

  constructor(sandbox: Sandbox, name: string) {
    this.#sandbox = sandbox;
    this.#name = name;
  }

  /**
   * Builds to the end.
   * @returns digest of the files that came out
   * @throws BuildError when the daemon goes away
   * @throws AssertionError when a step ran that was complete before, or the push or the files are wrong
   */
  async run(client: BuildClient): Promise<string> {
    const before = new Set(this.complete);
    const output = await mkdtemp(join(this.#sandbox.root, "output-"));
    const pushed = this.#sandbox.image(`crash:${this.#name}`);
    const { vertices } = await client.build({
      dockerfile: this.#dockerfile(),
      context: contextFiles,
      outputs: [directoryOutput(output), pushOutput(pushed)],
      cacheExports: [
        { type: "registry", attributes: { ref: this.#sandbox.image(`cache:${this.#name}`), mode: "max" } },
      ],
      onVertex: ({ name, completed, error }) => {
        if (completed && error === "" && isStep(name)) this.complete.add(name);
        if (name === "exporting to client directory") this.sending = !completed || error !== "";
      },
    });
    const again = vertices.filter(({ name, cached }) => before.has(name) && !cached).map(({ name }) => name);
    assert.deepEqual(again, [], "steps that were complete before the kill ran again");
    return treeDigest(output);
  }

  /** How a build ends during which something is killed: as `run`, or with what the client was told. */
  async outcome(client: BuildClient): Promise<string> {
    try {
      return await this.run(client);
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      return `failed: ${error}`;
    }
  }

  #dockerfile(): string {
    const name = this.#name;
    return `FROM ${this.#sandbox.image("layered:latest")} AS base
COPY . /context/
RUN --mount=type=cache,target=/cache,id=${name} : ${name}; echo x >> /cache/file; cp -a /context /base; rm /data/kept
FROM base AS one
RUN : ${name} one; for i in 1 2 3 4 5 6; do dd if=/dev/zero of=/base/$i bs=64k count=$i; done; ln -s 1 /base/link
RUN : ${name} two; sleep 0.3; rm -r /base/sub; chmod 4711 /base/2; mv /base/3 /base/three
FROM base AS other
RUN : ${name} other; mkdir -p /out/deep/er; for i in $(seq 200); do echo $i > /out/deep/$i; done; sleep 0.2
COPY --from=one /base/link /base/three /out/
FROM scratch
COPY --from=one --chown=3:4 /base /base
COPY --from=other --chmod=0711 /out /out
`;
  }
}

/** Large enough to be in the middle of a transfer now and then. */
const contextFiles = {
  "large.bin": Buffer.alloc(3 << 20, "large"),
  "small.txt": "small",
  ...Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`sub/file-${i}`, `${i}`])),
};

function isStep(name: string): boolean {
  return /^\[.*\] (RUN|COPY)/.test(name);
}
