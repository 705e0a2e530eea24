import { createWriteStream } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { runCommand } from "./run-command.ts";

interface Descriptor {
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly architecture: string };
}

interface Manifest {
  readonly manifests?: readonly Descriptor[];
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

export interface ImageConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly WorkingDir?: string;
}

const accepted = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

/** An image in a registry that speaks plain HTTP, read as any client would. */
export class RegistryImage {
  /** Of what the tag points to. */
  readonly digest: string;
  readonly config: ImageConfig;
  readonly sizeBytes: number;
  readonly #repository: string;
  readonly #layers: readonly Descriptor[];

  private constructor(repository: string, digest: string, manifest: Manifest, config: ImageConfig) {
    this.#repository = repository;
    this.#layers = manifest.layers;
    this.digest = digest;
    this.config = config;
    this.sizeBytes = manifest.layers.reduce((sum, layer) => sum + layer.size, 0);
  }

  get layers(): number {
    return this.#layers.length;
  }

  /** @param reference `host:port/name:tag` */
  static async open(reference: string): Promise<RegistryImage> {
    const [, host, name, tag] = /^([^/]+)\/(.+):([^:]+)$/.exec(reference) ?? [];
    const repository = `http://${host}/v2/${name}`;
    const response = await get(`${repository}/manifests/${tag}`);
    const digest = response.headers.get("docker-content-digest") ?? "";
    let manifest = (await response.json()) as Manifest;
    const architecture = process.arch === "x64" ? "amd64" : process.arch;
    const own = manifest.manifests?.find(({ platform }) => platform?.architecture === architecture);
    if (own !== undefined) manifest = (await (await get(`${repository}/manifests/${own.digest}`)).json()) as Manifest;
    const config = (await (await get(`${repository}/blobs/${manifest.config.digest}`)).json()) as {
      config: ImageConfig;
    };
    return new RegistryImage(repository, digest, manifest, config.config);
  }

  /** Unpacks the layers over each other; enough for images that delete nothing. */
  async unpack(directory: string, signal: AbortSignal): Promise<void> {
    await mkdir(directory, { recursive: true });
    for (const { digest } of this.#layers) {
      const archive = join(directory, "..", "layer.tar.gz");
      const { body } = await get(`${this.#repository}/blobs/${digest}`);
      if (body === null) throw new Error(`registry sent no content for ${digest}`);
      await pipeline(Readable.fromWeb(body), createWriteStream(archive), { signal });
      await runCommand(["tar", "-xzf", archive, "-C", directory], { signal });
      await rm(archive);
    }
  }
}

async function get(url: string): Promise<Response> {
  const response = await fetch(url, { headers: { accept: accepted } });
  if (!response.ok) throw new Error(`GET ${url}: ${response.status} ${await response.text()}`);
  return response;
}
