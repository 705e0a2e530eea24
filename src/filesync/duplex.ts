/** One side of a message stream; a SessionStream is one, and so is a server's side of the call. */
export interface Duplex {
  /** Resolves when there is room for more. */
  send(message: Uint8Array): Promise<void>;
  /** Ends when the peer has ended its side well, throws otherwise. Iterated once. */
  readonly messages: AsyncIterable<Uint8Array>;
  /** Half-close; only the side that opened the call has it. */
  closeSend?(): void;
}
