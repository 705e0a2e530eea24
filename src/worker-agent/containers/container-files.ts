import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ContainerMount } from "../../core/seams/executor.ts";
import type { ContainerFile } from "../../core/seams/gateway-container.ts";
import type { HeldMount, MountArea } from "../ops/exec/mount-area.ts";

/** Small files for a container, each directory of them a tmpfs. */
export class ContainerFiles implements Disposable {
  readonly mounts: readonly ContainerMount[];
  readonly #held: DisposableStack;

  constructor(area: MountArea, files: readonly ContainerFile[]) {
    using held = new DisposableStack();
    const directories = new Map<string, HeldMount>();
    for (const { directory, name, data } of files) {
      let mount = directories.get(directory);
      if (mount === undefined) {
        mount = held.use(area.tmpfs({ executable: false }));
        directories.set(directory, mount);
      }
      writeFileSync(join(mount.path, name), data, { mode: 0o444 });
    }
    this.mounts = [...directories].map(([destination, { path }]) => ({
      type: "bind",
      source: path,
      destination,
      options: ["rbind", "ro", "nosuid", "nodev", "noexec"],
    }));
    this.#held = held.move();
  }

  [Symbol.dispose](): void {
    this.#held.dispose();
  }
}
