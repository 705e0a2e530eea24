import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { formatPlatform, type Platform, parsePlatform } from "../../core/values/platform.ts";

/** Annotations for one platform, or for all when under the empty key. */
export interface ImageAnnotations {
  readonly index: Record<string, string>;
  readonly indexDescriptor: Record<string, string>;
  readonly manifest: Record<string, string>;
  readonly manifestDescriptor: Record<string, string>;
}

const fields: Readonly<Record<string, keyof ImageAnnotations>> = {
  "": "manifest",
  index: "index",
  "index-descriptor": "indexDescriptor",
  manifest: "manifest",
  "manifest-descriptor": "manifestDescriptor",
};

const keyPattern = /^annotation(?:-([a-z-]+))?(?:\[([A-Za-z0-9_/-]+)\])?\.(\S+)$/;

/** `annotation[-<type>][[<platform>]].<key>` attributes and metadata (map f8). */
export class AnnotationSet {
  readonly #byPlatform = new Map<string, ImageAnnotations>();

  /** Takes the entry if it is an annotation. @returns false for any other key. @throws BuildError Unknown, as BuildKit: clients print the bare text */
  add(key: string, value: string): boolean {
    const match = keyPattern.exec(key);
    if (match === null) return false;
    const [, type = "", platformText, name = ""] = match;
    const field = fields[type];
    if (field === undefined) throw new BuildError(Code.Unknown, `unrecognized annotation type ${type}`);
    const platform = platformText === undefined ? "" : formatPlatform(parsePlatform(platformText));
    const annotations = this.#byPlatform.get(platform) ?? empty();
    annotations[field][name] = value;
    this.#byPlatform.set(platform, annotations);
    return true;
  }

  merged(other: AnnotationSet): AnnotationSet {
    const result = new AnnotationSet();
    for (const set of [this, other]) {
      for (const [platform, annotations] of set.#byPlatform) {
        result.#byPlatform.set(platform, merge(result.#byPlatform.get(platform) ?? empty(), annotations));
      }
    }
    return result;
  }

  get platforms(): readonly string[] {
    return [...this.#byPlatform.keys()].filter((key) => key !== "");
  }

  /** Some annotation needs OCI types. */
  get needsOci(): boolean {
    return [...this.#byPlatform.values()].some(
      (a) => Object.keys({ ...a.index, ...a.indexDescriptor, ...a.manifestDescriptor }).length > 0,
    );
  }

  /** Index annotations of all keys, manifest annotations of the common key and of this platform. */
  for(platform: Platform | undefined): ImageAnnotations {
    const result = empty();
    for (const annotations of this.#byPlatform.values()) {
      Object.assign(result.index, annotations.index);
      Object.assign(result.indexDescriptor, annotations.indexDescriptor);
    }
    for (const key of ["", ...(platform === undefined ? [] : [formatPlatform(platform)])]) {
      const annotations = this.#byPlatform.get(key);
      Object.assign(result.manifest, annotations?.manifest);
      Object.assign(result.manifestDescriptor, annotations?.manifestDescriptor);
    }
    return result;
  }
}

function empty(): ImageAnnotations {
  return { index: {}, indexDescriptor: {}, manifest: {}, manifestDescriptor: {} };
}

function merge(a: ImageAnnotations, b: ImageAnnotations): ImageAnnotations {
  return {
    index: { ...a.index, ...b.index },
    indexDescriptor: { ...a.indexDescriptor, ...b.indexDescriptor },
    manifest: { ...a.manifest, ...b.manifest },
    manifestDescriptor: { ...a.manifestDescriptor, ...b.manifestDescriptor },
  };
}

/** Keys sorted as Go writes maps; undefined when empty, so that JSON leaves it out. */
export function sortedAnnotations(annotations: Readonly<Record<string, string>>): Record<string, string> | undefined {
  const keys = Object.keys(annotations).sort();
  if (keys.length === 0) return undefined;
  return Object.fromEntries(keys.map((key) => [key, annotations[key] ?? ""]));
}
