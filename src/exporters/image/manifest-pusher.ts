import type { ExportContext } from "../../core/seams/exporter.ts";
import type { WrittenImage } from "./image-writer.ts";

/** Brings a written image to a registry: layers from where they are, then configs, then manifests. */
export interface ManifestPusher {
  /** @throws BuildError as the registry answers */
  push(image: WrittenImage, target: PushDestination, context: ExportContext): Promise<void>;
}

export interface PushDestination {
  /** Image name with or without tag. */
  readonly name: string;
  /** No tag is written. */
  readonly byDigest: boolean;
  /** Plain HTTP or an unknown certificate is fine. */
  readonly insecure: boolean;
}
