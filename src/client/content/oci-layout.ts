import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { type Digest, parseDigest } from "../../core/values/digest.ts";

/** A manifest as an index names it. Fields we do not use are kept. */
export interface LayoutManifest {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface LayoutIndex {
  readonly schemaVersion?: number;
  readonly mediaType?: string;
  readonly manifests?: readonly LayoutManifest[];
}

/** How a manifest is found again: an image's whole name, or only a tag. */
export type LayoutName = { readonly name: string } | { readonly tag: string };

const nameAnnotation = "io.containerd.image.name";
const tagAnnotation = "org.opencontainers.image.ref.name";
const readBytes = 1 << 20;

/** A directory of blobs in the OCI image layout: what `--oci-layout` reads and local caches are kept in. */
export class OciLayout {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** @returns undefined when the blob is not there */
  async size(digest: Digest): Promise<number | undefined> {
    return stat(this.#blobPath(digest)).then(
      (found) => found.size,
      () => undefined,
    );
  }

  read(digest: Digest, offset: number, length: number): AsyncIterable<Uint8Array> {
    const end = offset + length - 1;
    return createReadStream(this.#blobPath(digest), { start: offset, end, highWaterMark: readBytes });
  }

  /** Begins a blob; dispose of the writer in any case. */
  async write(): Promise<LayoutWriter> {
    const ingest = join(this.#directory, "ingest");
    await mkdir(ingest, { recursive: true });
    const path = join(ingest, randomBytes(12).toString("hex"));
    return new LayoutWriter(path, await open(path, "wx", 0o644), (digest) => this.#blobPath(digest));
  }

  /** The manifest of a name or tag; whole names go first. @returns undefined when there is none, or no index */
  async find(nameOrTag: string): Promise<LayoutManifest | undefined> {
    const { manifests = [] } = await this.#index();
    const by = (key: string) => manifests.find((manifest) => manifest.annotations?.[key] === nameOrTag);
    return by(nameAnnotation) ?? by(tagAnnotation);
  }

  /** Adds a manifest to the index under each name, in place of what had the name before (BuildKit client/ociindex). */
  async put(manifest: LayoutManifest, names: readonly LayoutName[]): Promise<void> {
    const index = await this.#index();
    let manifests = [...(index.manifests ?? [])];
    for (const name of names) {
      const annotations = { ...manifest.annotations, ...nameAnnotations(name) };
      const same = (other: LayoutManifest) =>
        [nameAnnotation, tagAnnotation].every((key) => other.annotations?.[key] === annotations[key]);
      manifests = [...manifests.filter((other) => !same(other)), { ...manifest, annotations }];
    }
    const text = JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      ...index,
      manifests,
    });
    await mkdir(this.#directory, { recursive: true });
    await writeFile(join(this.#directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
    const temporary = join(this.#directory, `index.json.${randomBytes(6).toString("hex")}`);
    await writeFile(temporary, text);
    await rename(temporary, join(this.#directory, "index.json"));
  }

  async #index(): Promise<LayoutIndex> {
    const path = join(this.#directory, "index.json");
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
      throw error;
    }
    try {
      const index = JSON.parse(text) as LayoutIndex | null;
      if (Array.isArray(index?.manifests ?? [])) return index ?? {};
    } catch (error) {
      throw new BuildError(Code.InvalidArgument, `cannot read ${path}: ${(error as Error).message}`, { cause: error });
    }
    throw new BuildError(Code.InvalidArgument, `cannot read ${path}: its manifests are no list`);
  }

  #blobPath(digest: Digest): string {
    const [algorithm = "", hex = ""] = digest.split(":");
    return join(this.#directory, "blobs", algorithm, hex);
  }
}

function nameAnnotations(name: LayoutName): Record<string, string> {
  if ("tag" in name) return { [tagAnnotation]: name.tag };
  const tag = /:([\w][\w.-]*)$/.exec(name.name)?.[1] ?? "latest";
  return { [nameAnnotation]: name.name, [tagAnnotation]: tag };
}

/** A blob on its way; nothing is to be seen of it until `commit`. */
export class LayoutWriter implements AsyncDisposable {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #blobPath: (digest: Digest) => string;
  readonly #hash = createHash("sha256");
  #size = 0;

  constructor(path: string, file: FileHandle, blobPath: (digest: Digest) => string) {
    this.#path = path;
    this.#file = file;
    this.#blobPath = blobPath;
  }

  get size(): number {
    return this.#size;
  }

  async append(data: Uint8Array): Promise<void> {
    this.#hash.update(data);
    for (let done = 0; done < data.length; ) {
      done += (await this.#file.write(data, done, data.length - done, this.#size + done)).bytesWritten;
    }
    this.#size += data.length;
  }

  /** @throws BuildError FailedPrecondition when it is not the blob that was announced */
  async commit(expected: Digest | undefined): Promise<Digest> {
    const digest = parseDigest(`sha256:${this.#hash.digest("hex")}`);
    if (expected !== undefined && digest !== expected) {
      throw new BuildError(Code.FailedPrecondition, `unexpected commit digest ${digest}, expected ${expected}`);
    }
    const path = this.#blobPath(digest);
    await mkdir(join(path, ".."), { recursive: true });
    await rename(this.#path, path);
    return digest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
    await rm(this.#path, { force: true });
  }
}
