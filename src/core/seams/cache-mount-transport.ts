/** Reads cache mounts that other agents hold. */
export interface CacheMountTransport {
  /**
   * Waits a little when a step uses the directory there.
   * @throws BuildError NotFound when it is there no more; Unavailable when it cannot be read now, or the peer does not answer
   */
  readCacheMount(peerUrl: string, entryId: string, signal: AbortSignal): Promise<CacheMountStream>;
}

export interface CacheMountStream {
  /** What the bytes are, perhaps newer than what was heard of. */
  readonly version: string;
  /** A tar of the directory under the name `data`. Ends with an error unless all of it came as it was sent. */
  readonly bytes: AsyncIterable<Uint8Array>;
}
