import { randomUUID } from "node:crypto";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { resolveInRoot } from "../../../executor/index.ts";
import { MountFlag, mount, mountsBelow, unmount } from "../../../util/sys/index.ts";

/** A mount that ends when disposed. */
export interface HeldMount extends Disposable {
  readonly path: string;
}

const openPath = 0o10000000;
const resolveAttempts = 10;

/** A directory in which an agent makes mounts for its steps. What a killed agent left there is undone by `reap`. */
export class MountArea {
  readonly #directory: string;

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o711 });
    this.#directory = realpathSync(directory);
  }

  /** Empty tmpfs which only root can list; files in it are reached by who knows their name. */
  tmpfs(options: { readonly executable: boolean }): HeldMount {
    const path = this.#directoryPoint();
    return this.#held(path, () => {
      const flags = MountFlag.NoDev | MountFlag.NoSuid | (options.executable ? 0 : MountFlag.NoExec);
      mount("tmpfs", path, "tmpfs", flags, "mode=0711");
    });
  }

  /** A directory shown a second time, read-only. */
  readonlyView(source: string): HeldMount {
    const path = this.#directoryPoint();
    return this.#held(path, () => {
      mount(source, path, "", MountFlag.Bind | MountFlag.Recursive);
      mount("", path, "", MountFlag.Bind | MountFlag.Remount | MountFlag.ReadOnly);
    });
  }

  /**
   * File or directory below a root, symlinks resolved inside it. Bound by its open descriptor, so that nobody who can write to
   * the root gets to lead the mount elsewhere (BuildKit executor/oci/spec_linux.go sub).
   * @throws BuildError when there is no such path
   */
  below(root: string, selector: string): HeldMount {
    const realRoot = realpathSync(root);
    for (let attempt = 0; attempt < resolveAttempts; attempt++) {
      let fd: number;
      const resolved = resolveInRoot(realRoot, selector);
      try {
        fd = openSync(resolved, openPath);
      } catch (error) {
        const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
        throw new BuildError(
          Code.Unknown,
          missing ? `open ${selector}: no such file or directory` : BuildError.from(error).message,
          { cause: error },
        );
      }
      try {
        const magic = `/proc/self/fd/${fd}`;
        if (readlinkSync(magic) !== resolved) continue;
        const path = statSync(magic).isDirectory() ? this.#directoryPoint() : this.#filePoint();
        return this.#held(path, () => mount(magic, path, "", MountFlag.Bind | MountFlag.Recursive));
      } finally {
        closeSync(fd);
      }
    }
    throw new BuildError(Code.Unknown, `unable to safely resolve subpath ${selector}`);
  }

  /** Undoes mounts of an earlier process. Only before the first step. */
  reap(): void {
    for (const path of mountsBelow(this.#directory).reverse()) unmount(path, true);
    for (const entry of readdirSync(this.#directory)) removePoint(join(this.#directory, entry));
  }

  #directoryPoint(): string {
    const path = join(this.#directory, randomUUID());
    mkdirSync(path, { mode: 0o711 });
    return path;
  }

  #filePoint(): string {
    const path = join(this.#directory, randomUUID());
    writeFileSync(path, "", { flag: "wx" });
    return path;
  }

  #held(path: string, make: () => void): HeldMount {
    try {
      make();
    } catch (error) {
      undo(path);
      throw BuildError.from(error);
    }
    return { path, [Symbol.dispose]: () => undo(path) };
  }
}

function undo(path: string): void {
  try {
    unmount(path, true);
  } catch {
    // Was not mounted.
  }
  removePoint(path);
}

/** Takes the mount point alone; were something still mounted there, this would fail and harm nothing. */
function removePoint(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    try {
      unlinkSync(path);
    } catch {
      // Busy; `reap` tries again at the next start.
    }
  }
}
