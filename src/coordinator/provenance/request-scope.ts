import type { Definition } from "../../api/gen/ops.ts";
import type { BridgeRef, SourceMeta } from "../../core/seams/llb-bridge.ts";
import type { Edge } from "../../core/seams/op.ts";
import { type Platform, samePlatform } from "../../core/values/platform.ts";
import type { ImageMaterial } from "./capture.ts";
import type { AskedFrontend } from "./request-provenance.ts";

export interface FrontendRequest extends AskedFrontend {
  readonly inputs: Readonly<Record<string, Definition>>;
}

/** A ref that was given out, and the graph behind it. */
export interface ScopedRef {
  readonly ref: BridgeRef;
  /** Only once the ref is built. */
  readonly edge: () => Edge;
}

/**
 * What one frontend asked of a build, with the frontends that it called in turn: provenance tells a result together with the
 * request it is the answer to (BuildKit solver/llbsolver/provenance.go, provenanceBridge).
 */
export class RequestScope {
  /** Absent for the client, who drives the build itself. */
  readonly request: FrontendRequest | undefined;
  /** What the client asked for at first. */
  readonly root: FrontendRequest;
  readonly #refs: ScopedRef[] = [];
  readonly #images: ImageMaterial[] = [];
  readonly #nested: RequestScope[] = [];

  constructor(root: FrontendRequest, request?: FrontendRequest) {
    this.root = root;
    this.request = request;
  }

  /** For a frontend that is called within this one. */
  nest(request: FrontendRequest): RequestScope {
    const scope = new RequestScope(isEmpty(this.root) ? (this.request ?? this.root) : this.root, request);
    this.#nested.push(scope);
    return scope;
  }

  addRef(ref: BridgeRef, edge: () => Edge): void {
    this.#refs.push({ ref, edge });
  }

  /** A source whose metadata a frontend has looked at went into what it made. */
  addSource({ source, image }: SourceMeta, platform: Platform | undefined): void {
    if (image === undefined) return;
    const local = !source.identifier.startsWith("docker-image://");
    const reference = source.identifier.replace(/^(?:docker-image|oci-layout):\/\//, "");
    this.#images.push({ reference, platform, digest: image.digest, local });
  }

  /** The innermost scope that gave out a ref. */
  find(refId: string): { readonly scope: RequestScope; readonly entry: ScopedRef } | undefined {
    for (const nested of this.#nested) {
      const found = nested.find(refId);
      if (found !== undefined) return found;
    }
    const entry = this.#refs.find(({ ref }) => ref.id === refId);
    return entry && { scope: this, entry };
  }

  /** Everything this frontend and those below it have asked for. */
  get refs(): readonly ScopedRef[] {
    return [...this.#refs, ...this.#nested.flatMap((nested) => nested.refs)];
  }

  get images(): readonly ImageMaterial[] {
    return [...this.#images, ...this.#nested.flatMap((nested) => nested.images)];
  }
}

/** Nothing that tells one build from another. */
export function isEmpty({ frontend, options, inputs }: FrontendRequest): boolean {
  return frontend === "" && Object.keys(options).length === 0 && Object.keys(inputs).length === 0;
}

/** Without the images for other platforms, where an image was looked at for each of the result's. */
export function imagesFor(
  platform: Platform,
  platforms: readonly Platform[],
  images: readonly ImageMaterial[],
): readonly ImageMaterial[] {
  const forAll = new Set(
    images
      .map(({ reference }) => reference)
      .filter((reference) =>
        platforms.every((wanted) =>
          images.some(
            (image) =>
              image.reference === reference && image.platform !== undefined && samePlatform(image.platform, wanted),
          ),
        ),
      ),
  );
  return images.filter(
    (image) =>
      !forAll.has(image.reference) ||
      image.platform === undefined ||
      (image.platform.os === platform.os && image.platform.architecture === platform.architecture),
  );
}
