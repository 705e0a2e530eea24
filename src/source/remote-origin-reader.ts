import { createHash } from "node:crypto";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { BlobOrigin } from "../core/values/layer.ts";
import type { ImageRegistry, SourceCall } from "./image-registry.ts";
import { withSession } from "./session/session-call.ts";
import { SessionContent } from "./session/session-content.ts";

/** Reads layer blobs where they came from: a registry, or the content store of a client's session. */
export class RemoteOriginReader {
  readonly #registry: Pick<ImageRegistry, "blob">;

  constructor(options: { readonly registry: Pick<ImageRegistry, "blob"> }) {
    this.#registry = options.registry;
  }

  /**
   * Bytes from `offset` to the end. Size, and from offset 0 the digest, are verified: the last read may throw.
   * @throws RegistryError; BuildError as the client answers, DataLoss when the bytes are not what was named
   */
  open(origin: BlobOrigin, call: SourceCall & { readonly offset: number }): AsyncIterable<Uint8Array> {
    return origin.kind === "registry"
      ? this.#registry.blob(origin.repository, origin.descriptor, call)
      : readFromSession(origin, call);
  }
}

async function* readFromSession(
  origin: BlobOrigin & { readonly kind: "session" },
  call: SourceCall & { readonly offset: number },
): AsyncGenerator<Uint8Array, void, undefined> {
  const { digest, size } = origin.descriptor;
  // The session that first named the blob may be over; another client of the build can have the same store.
  const id = call.sessions.ids.includes(origin.sessionId) ? origin.sessionId : "";
  const content = await withSession(call.sessions, id, call.signal, async (caller) => {
    const store = new SessionContent(caller, origin.storeId);
    if (id === "") await store.size(digest, call.signal);
    return store;
  });
  const hash = call.offset === 0 ? createHash(digest.slice(0, digest.indexOf(":"))) : undefined;
  let position = call.offset;
  for await (const chunk of content.read(digest, call.offset, call.signal)) {
    position += chunk.length;
    if (position > size) break;
    hash?.update(chunk);
    yield chunk;
  }
  if (position !== size) {
    throw new BuildError(
      Code.DataLoss,
      `client sent ${position > size ? "more than" : "only"} ${Math.min(position, size)} of ${size} bytes of ${digest}`,
    );
  }
  const got = hash === undefined ? digest : `${digest.slice(0, digest.indexOf(":"))}:${hash.digest("hex")}`;
  if (got !== digest) throw new BuildError(Code.DataLoss, `client sent ${got} for ${digest}`);
}
