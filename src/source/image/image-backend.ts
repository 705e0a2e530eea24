import type { Descriptor } from "../../core/values/descriptor.ts";
import { specDigest, specHost, specRepository } from "../../core/values/image-reference.ts";
import type { BlobOrigin } from "../../core/values/layer.ts";
import { parseGoDigest } from "../go-text.ts";
import type { ImageRegistry, SourceCall } from "../image-registry.ts";
import { withSession } from "../session/session-call.ts";
import { SessionContent } from "../session/session-content.ts";
import { sourceError } from "../source-identifier.ts";
import type { ImageIdentifier } from "./image-identifier.ts";
import { detectMediaType } from "./image-manifest.ts";

/** Where an image's documents and layers are read from. */
export interface ImageBackend {
  /** What the reference names now. */
  resolve(call: SourceCall): Promise<Descriptor>;
  /** Whole bytes of an index, manifest or config. */
  document(descriptor: Descriptor, call: SourceCall): Promise<Uint8Array>;
  origin(descriptor: Descriptor): BlobOrigin;
  /** Annotations that say where a layer came from. */
  annotations(): Readonly<Record<string, string>>;
}

const maxRootBytes = 4 * 1024 * 1024;

export class RegistryBackend implements ImageBackend {
  readonly #registry: ImageRegistry;
  readonly #id: ImageIdentifier;

  constructor(registry: ImageRegistry, id: ImageIdentifier) {
    this.#registry = registry;
    this.#id = id;
  }

  resolve(call: SourceCall): Promise<Descriptor> {
    return this.#registry.resolve(this.#id.spec, call);
  }

  document(descriptor: Descriptor, call: SourceCall): Promise<Uint8Array> {
    return this.#registry.fetchJson(this.#id.spec.locator, descriptor, call);
  }

  origin(descriptor: Descriptor): BlobOrigin {
    return { kind: "registry", repository: this.#id.spec.locator, descriptor };
  }

  annotations(): Readonly<Record<string, string>> {
    const host = specHost(this.#id.spec).replace(/:\d+$/, "");
    return { [`containerd.io/distribution.source.${host}`]: specRepository(this.#id.spec) };
  }
}

/** An OCI layout on a client's disk, read through its session; references must carry a digest. */
export class OciLayoutBackend implements ImageBackend {
  readonly #id: ImageIdentifier;
  readonly #store: string;

  constructor(id: ImageIdentifier) {
    this.#id = id;
    this.#store = `oci:${id.storeId}`;
  }

  async resolve(call: SourceCall): Promise<Descriptor> {
    const { name } = this.#id;
    const text = specDigest(this.#id.spec);
    if (text === "") throw sourceError(`reference ${JSON.stringify(name)} must have digest`);
    const digest = parseGoDigest(text);
    const size = await this.#with(call, (content) => content.size(digest, call.signal)).catch((error: unknown) => {
      throw described(error, "unable to get info about digest", call.signal);
    });
    if (size > maxRootBytes) throw sourceError(`rejecting ${size} byte manifest for ${name}`);
    const bytes = await this.document({ mediaType: "", digest, size }, call).catch((error: unknown) => {
      throw described(error, "unable to read root manifest", call.signal);
    });
    try {
      return { mediaType: detectMediaType(bytes), digest, size };
    } catch (error) {
      throw sourceError(
        `reference ${JSON.stringify(name)} contains neither an index nor a manifest: ${(error as Error).message}`,
      );
    }
  }

  async document(descriptor: Descriptor, call: SourceCall): Promise<Uint8Array> {
    return this.#with(call, async (content) => {
      const chunks: Uint8Array[] = [];
      let size = 0;
      for await (const chunk of content.read(descriptor.digest, 0, call.signal)) {
        size += chunk.length;
        if (size > descriptor.size) break;
        chunks.push(chunk);
      }
      if (size !== descriptor.size)
        throw sourceError(`client sent ${size} of ${descriptor.size} bytes of ${descriptor.digest}`);
      return Buffer.concat(chunks);
    });
  }

  origin(descriptor: Descriptor): BlobOrigin {
    return { kind: "session", sessionId: this.#id.sessionId, storeId: this.#store, descriptor };
  }

  annotations(): Readonly<Record<string, string>> {
    return {};
  }

  async #with<T>(call: SourceCall, use: (content: SessionContent) => Promise<T>): Promise<T> {
    return withSession(call.sessions, this.#id.sessionId, call.signal, (caller) =>
      use(new SessionContent(caller, this.#store)),
    );
  }
}

function described(error: unknown, context: string, signal: AbortSignal): unknown {
  signal.throwIfAborted();
  return error instanceof Error ? sourceError(`${context}: ${error.message}`, error) : error;
}
