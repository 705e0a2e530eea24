import { readdir, readFile } from "node:fs/promises";
import { join, posix } from "node:path";
import { rootCertificates } from "node:tls";
import { Agent, type Dispatcher, EnvHttpProxyAgent } from "undici";
import type { RegistryConfig } from "./registry-config.ts";

/** One server to talk to for a registry name: a mirror or the host itself. */
export interface RegistryEndpoint {
  readonly scheme: "http" | "https";
  readonly host: string;
  /** `/v2`, or `/v2/prefix` of a mirror. */
  readonly path: string;
  readonly canPush: boolean;
  /** `http` when TLS turns out not to be spoken there; decided at the first request. */
  readonly httpFallback: boolean;
  readonly dispatcher: Dispatcher;
}

/**
 * Finds the servers of a registry name from the configuration (BuildKit util/resolver/resolver.go). Owns the connections:
 * dispose to close them.
 */
export class RegistryHosts implements AsyncDisposable {
  readonly #config: Readonly<Record<string, RegistryConfig>>;
  readonly #endpoints = new Map<string, Promise<readonly RegistryEndpoint[]>>();
  readonly #dispatchers: Dispatcher[] = [];
  #plain: Dispatcher | undefined;

  constructor(config: Readonly<Record<string, RegistryConfig>> = {}) {
    this.#config = config;
  }

  /**
   * Mirrors in order, then the host.
   * @param insecure the caller's own wish (`registry.insecure`): no mirrors, any certificate, plain HTTP allowed
   */
  async endpoints(name: string, insecure = false): Promise<readonly RegistryEndpoint[]> {
    const key = insecure ? `insecure:${name}` : name;
    let found = this.#endpoints.get(key);
    if (found === undefined) {
      found = this.#build(name, insecure);
      this.#endpoints.set(key, found);
      found.catch(() => this.#endpoints.delete(key));
    }
    return found;
  }

  /** Connections without a registry's TLS settings, for token servers and layers stored elsewhere. */
  plainDispatcher(): Dispatcher {
    this.#plain ??= this.#dispatcher({}, "");
    return this.#plain;
  }

  async #build(name: string, insecure: boolean): Promise<RegistryEndpoint[]> {
    const config = insecure ? { insecure: true, http: true } : (this.#config[name] ?? {});
    const endpoints: RegistryEndpoint[] = [];
    for (const mirror of config.mirrors ?? []) {
      const { host, path } = splitMirror(mirror);
      endpoints.push(await this.#endpoint(host, posix.join("/v2", path), false, this.#config[host] ?? {}));
    }
    const host = name === "docker.io" ? "registry-1.docker.io" : name;
    endpoints.push(await this.#endpoint(host, "/v2", true, config));
    return endpoints;
  }

  async #endpoint(host: string, path: string, canPush: boolean, config: RegistryConfig): Promise<RegistryEndpoint> {
    const plainHttp = config.http ?? isLocalhost(host);
    const insecure = config.insecure === true;
    return {
      host,
      path,
      canPush,
      scheme: plainHttp && !insecure ? "http" : "https",
      httpFallback: plainHttp && insecure,
      dispatcher: this.#dispatcher(await loadTls(config), host),
    };
  }

  #dispatcher(tls: TlsOptions, host: string): Dispatcher {
    const options = {
      connect: { timeout: 30_000, keepAlive: true, ...tls },
      // HTTP/1.1 only: one multiplexed connection would throttle parallel layers.
      allowH2: false,
      headersTimeout: 120_000,
      bodyTimeout: 60_000,
    };
    const dispatcher = isLocalhost(host) || !hasProxy() ? new Agent(options) : new EnvHttpProxyAgent(options);
    this.#dispatchers.push(dispatcher);
    return dispatcher;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#endpoints.clear();
    await Promise.all(this.#dispatchers.splice(0).map((dispatcher) => dispatcher.destroy()));
  }
}

interface TlsOptions {
  readonly ca?: readonly string[];
  readonly cert?: string;
  readonly key?: string;
  readonly rejectUnauthorized?: boolean;
}

async function loadTls(config: RegistryConfig): Promise<TlsOptions> {
  const caFiles = [...(config.ca ?? [])];
  const pairs = [...(config.keypair ?? [])];
  for (const directory of config.tlsconfigdir ?? []) {
    for (const file of await listDirectory(directory)) {
      if (file.endsWith(".crt")) caFiles.push(join(directory, file));
      if (file.endsWith(".cert")) {
        pairs.push({ cert: join(directory, file), key: join(directory, file.replace(/\.cert$/, ".key")) });
      }
    }
  }
  // A TLS client presents one certificate; the first pair is it.
  const pair = pairs[0];
  return {
    ...(config.insecure === true ? { rejectUnauthorized: false } : {}),
    ...(caFiles.length === 0
      ? {}
      : { ca: [...rootCertificates, ...(await Promise.all(caFiles.map((file) => readFile(file, "utf8"))))] }),
    ...(pair === undefined ? {} : { cert: await readFile(pair.cert, "utf8"), key: await readFile(pair.key, "utf8") }),
  };
}

async function listDirectory(directory: string): Promise<readonly string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "EACCES") return [];
    throw error;
  }
}

function splitMirror(mirror: string): { host: string; path: string } {
  const text = mirror.replace(/^[a-z]+:\/\//, "");
  const slash = text.indexOf("/");
  if (slash < 0) return { host: text, path: "" };
  return { host: text.slice(0, slash), path: text.slice(slash).replace(/\/+$/, "") };
}

/** True for `localhost` and loopback addresses, with or without a port. */
export function isLocalhost(host: string): boolean {
  const name = host.startsWith("[") ? host.slice(1, host.indexOf("]")) : (host.split(":", 1)[0] ?? "");
  return name === "localhost" || name === "::1" || /^127\.\d+\.\d+\.\d+$/.test(name);
}

function hasProxy(): boolean {
  const { env } = process;
  return [env["HTTPS_PROXY"], env["https_proxy"], env["HTTP_PROXY"], env["http_proxy"]].some((value) => value);
}
