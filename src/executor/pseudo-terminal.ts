import { once } from "node:events";
import { closeSync, constants, openSync } from "node:fs";
import { ReadStream } from "node:tty";
import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const unlockpt = libc.func("int unlockpt(int)");
const ptsname = libc.func("int ptsname_r(int, _Out_ char*, size_t)");

/** A terminal whose one end a process gets as its stdin, stdout and stderr, and whose other end is ours. */
export class PseudoTerminal implements AsyncDisposable {
  /** Device of the process's end. */
  readonly path: string;
  /** Readable and writable, whatever its name; no thread of the pool waits in it as one would with node:fs. */
  readonly #ours: ReadStream;

  constructor() {
    const fd = openSync("/dev/ptmx", constants.O_RDWR | constants.O_NOCTTY);
    const name = Buffer.alloc(64);
    if (unlockpt(fd) !== 0 || ptsname(fd, name, name.length) !== 0) {
      closeSync(fd);
      throw new Error("Cannot open a pseudo-terminal");
    }
    this.path = name.toString("utf8", 0, name.indexOf(0));
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

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ours.closed) return;
    const closed = once(this.#ours, "close");
    this.#ours.destroy();
    await closed;
  }
}
