import {
  type BytePath,
  cleanPath,
  comparePaths,
  type FileStat,
  isGoDir,
  isGoSymlink,
  quotePath,
  textPath,
} from "../filesystem/index.ts";

/**
 * Refuses a list of entries that is out of order, names something outside the root, puts a file below what is no directory,
 * or links to what was not listed (fsutil Validator and Hardlinks). What passes can be created path by path without ever
 * meeting a link on the way.
 */
export class OrderCheck {
  readonly #directories: { readonly path: BytePath; last: BytePath }[] = [{ path: "", last: "" }];
  readonly #files = new Set<BytePath>();

  /** @throws Error */
  add(stat: FileStat): void {
    const { path } = stat;
    if (path.startsWith("/")) throw refused("absolute path", path);
    if (path !== cleanPath(path) || path.includes("\0")) throw refused("unclean path", path);
    if (path === "." || path === ".." || path.startsWith("../")) throw refused("escape check", path);
    const at = path.lastIndexOf("/");
    const parent = at < 0 ? "" : path.slice(0, at);
    const name = path.slice(at + 1);
    while (this.#directories.length > 1 && comparePaths(this.#top.path, parent) > 0) this.#directories.pop();
    while (this.#directories.length > 1 && this.#top.path !== parent) this.#directories.pop();
    const directory = this.#top;
    if (directory.path !== parent || directory.last >= name) {
      const previous = directory.path === "" ? directory.last : `${directory.path}/${directory.last}`;
      throw new Error(`changes out of order: ${quotePath(path)} ${quotePath(previous)}`);
    }
    directory.last = name;
    if (isGoDir(stat.mode)) this.#directories.push({ path, last: "" });
    else if (!isGoSymlink(stat.mode)) {
      if (stat.linkname === "") this.#files.add(path);
      else if (!this.#files.has(stat.linkname)) {
        throw new Error(`invalid link ${textPath(path)} to unknown path: ${quotePath(stat.linkname)}`);
      }
    }
  }

  get #top(): { readonly path: BytePath; last: BytePath } {
    return this.#directories[this.#directories.length - 1] as { readonly path: BytePath; last: BytePath };
  }
}

function refused(what: string, path: BytePath): Error {
  return new Error(`${what} ${textPath(path)}: invalid argument`);
}
