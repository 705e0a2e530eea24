import type { ExportContext } from "../../core/seams/exporter.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import type { Digest } from "../../core/values/digest.ts";
import type { LayerInfo } from "../../core/values/layer.ts";
import { buildkitVersion } from "../../version.ts";
import { dispatchContext } from "./read-attestation.ts";
import { isCoreSbom, type LooseAttestation } from "./unbundle.ts";

const spdxPredicate = "https://spdx.dev/Document";

/** A layer of the image and the blob it is in it. */
interface ImageLayer {
  readonly info: LayerInfo;
  readonly descriptor: Descriptor;
}

type JsonObject = Readonly<Record<string, unknown>>;

/**
 * The SBOM of an image, told for each file the layer it is in; others are left as they are (map f24; BuildKit
 * exporter/containerimage/attestations.go).
 */
export async function supplementSbom(
  entry: LooseAttestation,
  layers: readonly ImageLayer[],
  context: ExportContext,
): Promise<LooseAttestation> {
  const { attestation, predicate } = entry;
  if (attestation.inTotoPredicateType !== spdxPredicate || !isCoreSbom(entry) || !isObject(predicate)) return entry;
  if (typeof predicate["spdxVersion"] !== "string") return entry;
  const finder = new LayerFinder(layers, context);
  const files = Array.isArray(predicate["files"]) ? predicate["files"] : undefined;
  const supplemented: unknown[] = [];
  for (const file of files ?? []) supplemented.push(await withLayer(file, finder));
  const info = isObject(predicate["creationInfo"]) ? predicate["creationInfo"] : {};
  const creators = Array.isArray(info["creators"]) ? info["creators"] : [];
  return {
    attestation,
    predicate: {
      ...predicate,
      creationInfo: { ...info, creators: [...creators, `Tool: buildkit-${buildkitVersion}`] },
      ...(files === undefined ? {} : { files: supplemented }),
    },
  };
}

/** A file that has a comment keeps it: nobody knows what it is for. */
async function withLayer(file: unknown, finder: LayerFinder): Promise<unknown> {
  if (!isObject(file) || typeof file["fileName"] !== "string") return file;
  if (file["comment"] !== undefined && file["comment"] !== "") return file;
  const digest = await finder.find(file["fileName"]);
  return digest === undefined ? file : { ...file, comment: `layerID: ${digest}` };
}

/** Looks from the top down, no deeper than it must. */
class LayerFinder {
  readonly #pending: ImageLayer[];
  readonly #context: ExportContext;
  readonly #found = new Map<string, Digest>();

  constructor(layers: readonly ImageLayer[], context: ExportContext) {
    this.#pending = [...layers];
    this.#context = context;
  }

  async find(name: string): Promise<Digest | undefined> {
    const path = name.replace(/^(?:\.?\/)+/, "");
    for (;;) {
      const digest = this.#found.get(path);
      if (digest !== undefined) return digest;
      const layer = this.#pending.pop();
      if (layer === undefined) return undefined;
      const body = { ref: { layers: [layer.info.id] }, digests: false };
      const { files } = await this.#context.dispatcher.run("list.files", body, dispatchContext(this.#context));
      for (const file of files) {
        if (!this.#found.has(file.path)) this.#found.set(file.path, layer.descriptor.digest);
      }
    }
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
