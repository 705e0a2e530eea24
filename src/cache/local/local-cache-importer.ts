import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { CacheImportCall, CacheImporter, CacheSource } from "../../core/seams/remote-cache.ts";
import type { SessionCaller } from "../../core/seams/session-caller.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import { parseDigest, sha256 } from "../../core/values/digest.ts";
import type { BlobOrigin } from "../../core/values/layer.ts";
import { ClientContent } from "./client-content.ts";

/** `type=local`: a directory of the client, who has turned the tag into a digest (map g7). */
export class LocalCacheImporter implements CacheImporter {
  readonly type = "local";

  async open(attrs: Readonly<Record<string, string>>, call: CacheImportCall): Promise<CacheSource> {
    const { digest = "", src = "" } = attrs;
    if (digest === "") throw new BuildError(Code.InvalidArgument, "local cache importer requires explicit digest");
    if (src === "") throw new BuildError(Code.InvalidArgument, "local cache importer requires src");
    const root = parseDigest(digest);
    const storeId = `local:${src}`;
    return call.sessions.any(
      async (caller) => {
        const size = await new ClientContent(caller, storeId).size(root, call.signal);
        return new ClientCacheSource(caller, storeId, { mediaType: "", digest: root, size });
      },
      { signal: call.signal },
    );
  }
}

class ClientCacheSource implements CacheSource {
  readonly root: Descriptor;
  readonly #content: ClientContent;
  readonly #sessionId: string;
  readonly #storeId: string;

  constructor(caller: SessionCaller, storeId: string, root: Descriptor) {
    this.root = root;
    this.#content = new ClientContent(caller, storeId);
    this.#sessionId = caller.id;
    this.#storeId = storeId;
  }

  async read(descriptor: Descriptor, signal: AbortSignal): Promise<Uint8Array> {
    const bytes = await this.#content.read(descriptor, signal);
    if (descriptor.digest.startsWith("sha256:") && sha256(bytes) !== descriptor.digest) {
      throw new BuildError(Code.DataLoss, `client sent ${sha256(bytes)} for ${descriptor.digest}`);
    }
    return bytes;
  }

  origin(descriptor: Descriptor): BlobOrigin {
    return { kind: "session", sessionId: this.#sessionId, storeId: this.#storeId, descriptor };
  }

  async has(descriptor: Descriptor, signal: AbortSignal): Promise<boolean> {
    try {
      return (await this.#content.size(descriptor.digest, signal)) === descriptor.size;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof BuildError && error.code === Code.NotFound) return false;
      throw error;
    }
  }
}
