import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { ExportContext } from "../../core/seams/exporter.ts";
import type { Digest } from "../../core/values/digest.ts";
import { parseNamedReference, repositoryName, withDefaultTag } from "../../core/values/image-reference.ts";
import type { ManifestPusher, PushDestination, WrittenImage } from "../../exporters/index.ts";
import type { RegistryClient } from "../../registry/index.ts";
import { inSpan } from "../../telemetry/index.ts";
import { allOrAbort } from "../../util/all-or-abort.ts";

/** Layers are pushed by agents, in parallel; configs and manifests from here once all layers are there (map f9). */
export class RegistryPusher implements ManifestPusher {
  readonly #registry: RegistryClient;

  constructor(registry: RegistryClient) {
    this.#registry = registry;
  }

  async push(image: WrittenImage, target: PushDestination, context: ExportContext): Promise<void> {
    const name = withDefaultTag(parseNamedReference(target.name));
    const repository = repositoryName(name);
    await this.#pushLayers(image, repository, target, context);
    return inSpan(`push manifest ${repository}`, { parent: context.traceparent }, () =>
      this.#pushDocuments(image, repository, name.tag, target, context),
    );
  }

  async #pushDocuments(
    image: WrittenImage,
    repository: string,
    named: string | undefined,
    target: PushDestination,
    context: ExportContext,
  ): Promise<void> {
    const call = { sessions: context.sessions, signal: context.signal, insecure: target.insecure };
    const tag = target.byDigest ? undefined : named;
    const startedAt = Date.now();
    const shown =
      tag === undefined
        ? `${repository}@${image.descriptor.digest}`
        : `${repository}:${tag}@${image.descriptor.digest}`;
    const status = { id: `pushing manifest for ${shown}`, startedAt };
    context.progress.status(status);
    for (const [digest, document] of image.documents) {
      if (isBlob(image, digest)) {
        const descriptor = { mediaType: document.mediaType, digest, size: document.data.length };
        await this.#registry.pushBlob(repository, descriptor, () => once(document.data), call);
      }
    }
    for (const [digest, { mediaType, data }] of image.documents) {
      if (isBlob(image, digest)) continue;
      const top = digest === image.descriptor.digest;
      await this.#registry.pushManifest(
        repository,
        { mediaType, bytes: data },
        top && tag !== undefined ? { ...call, tag } : call,
      );
    }
    context.progress.status({ ...status, completedAt: Date.now() });
  }

  /** One task for layers that lie together would do; one per layer lets each holder push its own at the same time. */
  async #pushLayers(
    image: WrittenImage,
    repository: string,
    target: PushDestination,
    context: ExportContext,
  ): Promise<void> {
    const { dispatcher, signal, progress, sessions, traceparent } = context;
    const dispatch = { signal, progress, sessions, ...(traceparent === undefined ? {} : { traceparent }) };
    const body = { target: { repository, insecure: target.insecure, sessionIds: sessions.ids } };
    await allOrAbort(image.layers, signal, (blob, both) =>
      dispatcher.run("push", { ...body, blobs: [blob] }, { ...dispatch, signal: both }),
    );
  }
}

/** Configs and attestations: what is no manifest. */
function isBlob(image: WrittenImage, digest: Digest): boolean {
  const type = image.documents.get(digest)?.mediaType;
  if (type === undefined) throw new BuildError(Code.Internal, `no document ${digest}`);
  return !/\b(?:manifest|index)\b/.test(type);
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield data;
}
