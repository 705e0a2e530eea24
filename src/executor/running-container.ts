import { existsSync } from "node:fs";
import { join } from "node:path";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { sleep } from "../util/abort.ts";

const pollMs = 10;

/** A container between the start and the end of its first process. */
export class RunningContainer {
  readonly bundle: string;
  readonly rootfs: string;
  readonly #id: string;
  readonly #pidFile: string;
  #directories = 0;
  #ended = false;

  /** @param options.pidFile exists once the first process runs */
  constructor(options: {
    readonly id: string;
    readonly bundle: string;
    readonly rootfs: string;
    readonly pidFile: string;
  }) {
    this.#id = options.id;
    this.bundle = options.bundle;
    this.rootfs = options.rootfs;
    this.#pidFile = options.pidFile;
  }

  /** Resolves once other processes can join. @throws BuildError when the container ends before that */
  async up(signal: AbortSignal): Promise<void> {
    while (!existsSync(this.#pidFile)) {
      if (this.#ended) break;
      await sleep(pollMs, signal);
    }
    if (this.#ended) throw new BuildError(Code.Unknown, `container ${this.#id} has stopped`);
  }

  /** A name for the files of one more process; removed with the bundle at the latest. */
  newDirectory(): string {
    return join(this.bundle, `process-${this.#directories++}`);
  }

  ended(): void {
    this.#ended = true;
  }
}
