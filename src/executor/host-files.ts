import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ContainerProcess } from "../core/seams/executor.ts";
import { generateHosts } from "./network/hosts.ts";
import {
  alternatePath,
  type DnsConfig,
  generateResolvConf,
  resolvConfPath,
  usesResolvedStub,
} from "./network/resolv-conf.ts";

/** Writes the /etc/hosts and /etc/resolv.conf that containers are shown. Equal content is one file, kept for the next step. */
export class HostFiles {
  readonly #directory: string;
  readonly #dns: DnsConfig | undefined;
  readonly #paths = new Map<string, Promise<string>>();
  #serial = 0;

  constructor(directory: string, dns?: DnsConfig) {
    this.#directory = directory;
    this.#dns = dns;
  }

  /** Path of a file for this container. */
  async hosts(container: Pick<ContainerProcess, "hostname" | "extraHosts">): Promise<string> {
    return this.#file(generateHosts(container.hostname, container.extraHosts));
  }

  async resolvConf(hostNetwork: boolean): Promise<string> {
    let host = await readIfAny(resolvConfPath);
    if (!hostNetwork && usesResolvedStub(host)) host = await readIfAny(alternatePath);
    return this.#file(
      generateResolvConf(host, { hostNetwork, ...(this.#dns === undefined ? {} : { dns: this.#dns }) }),
    );
  }

  #file(content: string): Promise<string> {
    let path = this.#paths.get(content);
    if (path === undefined) {
      path = this.#write(content);
      path.catch(() => this.#paths.delete(content));
      this.#paths.set(content, path);
    }
    return path;
  }

  async #write(content: string): Promise<string> {
    await mkdir(this.#directory, { recursive: true, mode: 0o711 });
    const path = join(this.#directory, String(this.#serial++));
    await writeFile(`${path}.new`, content, { mode: 0o644 });
    await rename(`${path}.new`, path);
    return path;
  }

  /** Deletes files of an earlier process. Only before the first step. */
  async clear(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
    this.#paths.clear();
  }
}

async function readIfAny(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return "";
  }
}
