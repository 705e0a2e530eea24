import { once } from "node:events";
import { closeSync, constants, openSync } from "node:fs";
import { ReadStream } from "node:tty";
import type { TerminalSize } from "../core/seams/executor.ts";
import { bind } from "../util/sys/index.ts";

const unlockpt = bind("unlockpt", "int", ["int"]);
const ptsname = bind("ptsname_r", "int", ["int", "void *", "size_t"]);
const ioctl = bind("ioctl", "int", ["int", "unsigned long", "void *"]);
const setWindowSize = 0x5414;

/** A terminal whose one end a process gets as its stdin, stdout and stderr, and whose other end is ours. */
export class PseudoTerminal implements AsyncDisposable {
  /** Device of the process's end. */
  readonly path: string;
  /** Readable and writable, whatever its name; no thread of the pool waits in it as one would with node:fs. */
  readonly #ours: ReadStream;
  readonly #fd: number;

  constructor() {
    const fd = openSync("/dev/ptmx", constants.O_RDWR | constants.O_NOCTTY);
    const name = Buffer.alloc(64);
    if (unlockpt(fd) !== 0 || ptsname(fd, name, name.length) !== 0) {
      closeSync(fd);
      throw new Error("Cannot open a pseudo-terminal");
    }
    this.path = name.toString("utf8", 0, name.indexOf(0));
    this.#fd = fd;
    this.#ours = new ReadStream(fd);
    // Seen by whoever reads; between reads there is nobody to tell.
    this.#ours.on("error", () => {});
  }

  /** What the process prints, until its end is closed everywhere. */
  async *output(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for await (const chunk of this.#ours) yield chunk as Buffer;
    } catch (error) {
      // The kernel's way to say that the other end is closed.
      if ((error as NodeJS.ErrnoException).code !== "EIO") throw error;
    }
  }

  async write(data: Uint8Array): Promise<void> {
    if (!this.#ours.write(data)) await once(this.#ours, "drain");
  }

  /** The process is told by whoever started it (SIGWINCH). */
  resize({ rows, columns }: TerminalSize): void {
    if (this.#ours.destroyed) return;
    ioctl(this.#fd, setWindowSize, Uint16Array.of(rows, columns, 0, 0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ours.closed) return;
    const closed = once(this.#ours, "close");
    this.#ours.destroy();
    await closed;
  }
}
