import type { Digest } from "../../core/values/digest.ts";
import { parseNamedReference, repositoryName } from "../../core/values/image-reference.ts";
import type { Platform } from "../../core/values/platform.ts";
import { redactUrl } from "./redact-url.ts";

export interface ImageMaterial {
  /** As LLB names it. */
  readonly reference: string;
  readonly platform: Platform | undefined;
  readonly digest: Digest;
  /** From an OCI layout of the client. */
  readonly local: boolean;
}

export interface BlobMaterial {
  readonly reference: string;
  readonly digest: Digest;
  readonly local: boolean;
}

export interface GitMaterial {
  /** Remote with `#ref`; no credentials. */
  readonly url: string;
  readonly commit: string;
  /** Locator of the bundle that was read in its place. */
  readonly bundle?: string;
}

export interface HttpMaterial {
  /** No credentials. */
  readonly url: string;
  readonly digest: Digest;
}

/** A secret or an SSH agent that steps were given. */
export interface Lent {
  readonly id: string;
  readonly optional: boolean;
}

/** What went into a result (BuildKit solver/llbsolver/provenance/capture.go). Each thing is in it once. */
export class Capture {
  readonly #images: ImageMaterial[] = [];
  readonly #blobs: BlobMaterial[] = [];
  readonly #git = new Map<string, GitMaterial>();
  readonly #http = new Map<string, HttpMaterial>();
  readonly #locals = new Set<string>();
  readonly #secrets = new Map<string, Lent>();
  readonly #ssh = new Map<string, Lent>();
  /** A step could reach the network. */
  networkAccess = false;
  /** Something went in that nobody knows the identity of, besides local directories. */
  incomplete = false;

  addImage(image: ImageMaterial): void {
    const known = this.#images.some(
      ({ reference, local, platform }) =>
        reference === image.reference && local === image.local && sameTarget(platform, image.platform),
    );
    if (!known) this.#images.push(image);
  }

  addBlob(blob: BlobMaterial): void {
    const known = this.#blobs.some(({ reference, local }) => reference === blob.reference && local === blob.local);
    if (!known) this.#blobs.push(blob);
  }

  addGit({ url, ...rest }: GitMaterial): void {
    const shown = redactUrl(url);
    const key = `${shown} ${rest.bundle ?? ""}`;
    if (!this.#git.has(key)) this.#git.set(key, { url: shown, ...rest });
  }

  addHttp({ url, digest }: HttpMaterial): void {
    const shown = redactUrl(url);
    if (!this.#http.has(shown)) this.#http.set(shown, { url: shown, digest });
  }

  addLocal(name: string): void {
    this.#locals.add(name);
  }

  addSecret(secret: Lent): void {
    lend(this.#secrets, secret);
  }

  addSsh({ id, optional }: Lent): void {
    lend(this.#ssh, { id: id === "" ? "default" : id, optional });
  }

  /** Takes over what another result was made from. */
  merge(other: Capture): void {
    for (const image of other.#images) this.addImage(image);
    for (const blob of other.#blobs) this.addBlob(blob);
    for (const git of other.#git.values()) this.addGit(git);
    for (const http of other.#http.values()) this.addHttp(http);
    for (const name of other.#locals) this.addLocal(name);
    for (const secret of other.#secrets.values()) this.addSecret(secret);
    for (const ssh of other.#ssh.values()) this.addSsh(ssh);
    this.networkAccess ||= other.networkAccess;
    this.incomplete ||= other.incomplete;
  }

  /** Sorted; an image known by a tag is not named by its digest once more. */
  get images(): readonly ImageMaterial[] {
    const tagged = new Set<string>();
    for (const { reference } of this.#images) {
      const { digest, name } = tagOf(reference);
      if (digest === undefined) tagged.add(name);
    }
    const shown = this.#images.filter(({ reference }) => {
      const { digest, name } = tagOf(reference);
      return digest === undefined || !tagged.has(name);
    });
    return sortBy(shown, ({ reference }) => reference);
  }

  get blobs(): readonly BlobMaterial[] {
    return sortBy(this.#blobs, ({ reference }) => reference);
  }

  get git(): readonly GitMaterial[] {
    return sortBy([...this.#git.values()], ({ url }) => url);
  }

  get http(): readonly HttpMaterial[] {
    return sortBy([...this.#http.values()], ({ url }) => url);
  }

  get locals(): readonly string[] {
    return [...this.#locals].sort();
  }

  get secrets(): readonly Lent[] {
    return sortBy([...this.#secrets.values()], ({ id }) => id);
  }

  get ssh(): readonly Lent[] {
    return sortBy([...this.#ssh.values()], ({ id }) => id);
  }

  /** All that went in has an identity. */
  get isComplete(): boolean {
    return !this.incomplete && this.#locals.size === 0;
  }
}

/** What one step needs, the result needs. */
function lend(all: Map<string, Lent>, { id, optional }: Lent): void {
  all.set(id, { id, optional: optional && (all.get(id)?.optional ?? true) });
}

function sameTarget(a: Platform | undefined, b: Platform | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.os === b.os && a.architecture === b.architecture && a.variant === b.variant && a.osVersion === b.osVersion;
}

function tagOf(reference: string): { readonly name: string; readonly digest: string | undefined } {
  const named = parseNamedReference(reference);
  return { name: `${repositoryName(named)}:${named.tag ?? "latest"}`, digest: named.digest };
}

function sortBy<T>(items: readonly T[], key: (item: T) => string): readonly T[] {
  return items.toSorted((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}
