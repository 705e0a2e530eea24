import type { Descriptor } from "../core/values/descriptor.ts";
import { KeyedSemaphore } from "../util/keyed-semaphore.ts";
import { LruMap } from "../util/lru-map.ts";
import type { UploadOutcome } from "./blob-upload.ts";
import type { RegistryClient } from "./registry-client.ts";

type BlobPusher = Pick<RegistryClient, "pushBlob">;

const maxRemembered = 10_000;

/**
 * A decorator for uploads: of those of one blob to one registry, each waits for the one before and mounts the blob from the
 * repository where that has put it. A build that pushes an image and a cache sends their common layers once.
 * Repositories are named only to the sessions that have pushed to them.
 */
export class SiblingMounts implements BlobPusher {
  readonly #pusher: BlobPusher;
  readonly #turns = new KeyedSemaphore(1);
  /** Repositories, without their host, by registry, blob and sessions. */
  readonly #places = new LruMap<string, Set<string>>(maxRemembered);

  constructor(pusher: BlobPusher) {
    this.#pusher = pusher;
  }

  async pushBlob(
    repository: string,
    descriptor: Descriptor,
    source: () => AsyncIterable<Uint8Array>,
    call: Parameters<BlobPusher["pushBlob"]>[3],
  ): Promise<UploadOutcome> {
    const slash = repository.indexOf("/");
    const key = [repository.slice(0, slash), descriptor.digest, ...call.sessions.ids.toSorted()].join(" ");
    using _turn = await this.#turns.acquire(key, call.signal);
    const places = this.#places.get(key, () => new Set());
    const mountFrom = [...new Set([...(call.mountFrom ?? []), ...places])];
    const outcome = await this.#pusher.pushBlob(repository, descriptor, source, { ...call, mountFrom });
    places.add(repository.slice(slash + 1));
    return outcome;
  }
}
