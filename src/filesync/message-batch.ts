/** Messages packed into one buffer, so that they go to or from a thread without being copied one by one. */
export interface MessageBatch<B extends ArrayBufferLike = ArrayBufferLike> {
  readonly buffer: B;
  /** Byte length of each message, in order. */
  readonly lengths: readonly number[];
}

export function packMessages(messages: readonly Uint8Array[]): MessageBatch<ArrayBuffer> {
  const lengths = messages.map((message) => message.length);
  const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  for (const message of messages) {
    bytes.set(message, at);
    at += message.length;
  }
  return { buffer: bytes.buffer, lengths };
}

/** Views of the messages. */
export function* unpackMessages(batch: MessageBatch): Generator<Uint8Array> {
  let at = 0;
  for (const length of batch.lengths) {
    yield new Uint8Array(batch.buffer, at, length);
    at += length;
  }
}
