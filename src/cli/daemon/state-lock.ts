import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { hasErrno } from "../../util/sys/index.ts";
import { bind, check } from "../../util/sys/libc.ts";

const exclusive = 2;
const nonBlocking = 4;

/**
 * Makes sure that one process uses a state directory. The kernel drops the lock when the process ends, however it ends; the
 * process id in the file is for people.
 */
export class StateLock implements Disposable {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Creates the directory if need be. @throws BuildError AlreadyExists naming the process that uses it */
  static take(directory: string): StateLock {
    mkdirSync(directory, { recursive: true, mode: 0o711 });
    const path = join(directory, "buildfleet.lock");
    const fd = openSync(path, "a+", 0o600);
    try {
      check("flock", bind("flock", "int", ["int", "int"])(fd, exclusive | nonBlocking), path);
      ftruncateSync(fd);
      writeSync(fd, `${process.pid}\n`);
      return new StateLock(fd);
    } catch (error) {
      closeSync(fd);
      if (!hasErrno(error, "EAGAIN", "EWOULDBLOCK")) throw error;
      const holder = readFileSync(path, "utf8").trim();
      throw new BuildError(
        Code.AlreadyExists,
        `${directory} is in use by another process${holder === "" ? "" : ` (${holder})`}: give each its own --root`,
      );
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
