import type { Snapshotter } from "../../core/seams/snapshotter.ts";
import { type Digest, digestHex, sha256 } from "../../core/values/digest.ts";
import { formatImageSpec, type ImageSpec, parseImageSpec, specDigest } from "../../core/values/image-reference.ts";
import type { OutputsResult, ResolvedSource } from "../../core/values/task.ts";
import { goJson } from "../../util/go-json.ts";
import { type FileAttributes, parseFileAttributes, safeFileName } from "../file-attributes.ts";
import { parseGoDigest } from "../go-text.ts";
import { recordType } from "../image/image-identifier.ts";
import type { ImageRegistry } from "../image-registry.ts";
import { RemoteOriginReader } from "../remote-origin-reader.ts";
import { withSession } from "../session/session-call.ts";
import { SessionContent } from "../session/session-content.ts";
import { commitLayer, type SourceContext, type SourceHandler } from "../source-handler.ts";
import { type SourceRequest, sourceError, splitIdentifier } from "../source-identifier.ts";
import { writeSourceFile } from "../write-file.ts";

interface BlobIdentifier extends FileAttributes {
  readonly spec: ImageSpec;
  readonly digest: Digest;
  /** Present for oci-layout+blob. */
  readonly store?: { readonly sessionId: string; readonly storeId: string };
  readonly recordType?: string;
}

/** `docker-image+blob://` and `oci-layout+blob://`: one blob as one file (BuildKit source/containerblob). */
export class BlobSource implements SourceHandler {
  readonly #registry: ImageRegistry;
  readonly #snapshotter: Snapshotter;
  readonly #origins: RemoteOriginReader;

  constructor(options: { readonly registry: ImageRegistry; readonly snapshotter: Snapshotter }) {
    this.#registry = options.registry;
    this.#snapshotter = options.snapshotter;
    this.#origins = new RemoteOriginReader({ registry: options.registry });
  }

  async resolve(source: SourceRequest): Promise<ResolvedSource> {
    return resolveBlobSource(source);
  }

  async fetch(
    source: SourceRequest,
    _resolved: ResolvedSource | undefined,
    context: SourceContext,
  ): Promise<OutputsResult> {
    const id = parseBlobIdentifier(source);
    const bytes = await this.#read(id, context);
    const record = { description: `blob ${formatImageSpec(id.spec)}`, ...pick(id.recordType) };
    return commitLayer(this.#snapshotter, context, record, async (directory) => {
      const name = id.filename === "" ? digestHex(id.digest) : safeFileName(id.filename);
      await writeSourceFile(directory, name, bytes, { ...id, mtimeMs: 0 });
    });
  }

  /** Its bytes alone. */
  async open(source: SourceRequest, context: SourceContext): Promise<AsyncIterable<Uint8Array>> {
    return this.#read(parseBlobIdentifier(source), context);
  }

  async #read(id: BlobIdentifier, context: SourceContext): Promise<AsyncIterable<Uint8Array>> {
    const { store } = id;
    if (store === undefined) {
      const descriptor = await this.#registry.stat(id.spec.locator, id.digest, context);
      return this.#registry.blob(id.spec.locator, descriptor, context);
    }
    const storeId = `oci:${store.storeId}`;
    const size = await withSession(context.sessions, store.sessionId, context.signal, (caller) =>
      new SessionContent(caller, storeId).size(id.digest, context.signal),
    );
    const descriptor = { mediaType: "application/octet-stream", digest: id.digest, size };
    return this.#origins.open(
      { kind: "session", sessionId: store.sessionId, storeId, descriptor },
      { sessions: context.sessions, signal: context.signal, offset: 0 },
    );
  }
}

/** Needs no network: the digest is in the reference (map d16). */
export function resolveBlobSource(source: SourceRequest): ResolvedSource {
  const id = parseBlobIdentifier(source);
  const filename = id.filename === "" ? "" : safeFileName(id.filename);
  const key = goJson({ Digest: id.digest, Filename: filename, Perm: id.perm, UID: id.uid, GID: id.gid });
  return { cacheKey: sha256(key), pin: id.digest, details: {} };
}

function parseBlobIdentifier(source: SourceRequest): BlobIdentifier {
  const { scheme, ref } = splitIdentifier(source.identifier);
  const spec = parseImageSpec(ref);
  if (spec.object === "") throw sourceError("object required");
  const { attrs } = source;
  const storeId = attrs["oci.store"] ?? "";
  if (scheme === "oci-layout+blob" && storeId === "") throw sourceError("oci-layout blob source requires store id");
  let digest: Digest;
  try {
    digest = parseGoDigest(specDigest(spec));
  } catch (error) {
    throw sourceError(`invalid reference digest: ${(error as Error).message}`);
  }
  return {
    ...parseFileAttributes(attrs),
    ...recordType(attrs["image.recordtype"]),
    spec,
    digest,
    ...(scheme === "oci-layout+blob" ? { store: { sessionId: attrs["oci.session"] ?? "", storeId } } : {}),
  };
}

function pick(recordType: string | undefined): { recordType?: string } {
  return recordType === undefined ? {} : { recordType };
}
