import type http2 from "node:http2";

/**
 * Bytes in flight, per stream and per connection. With node's 64 KB a context travels at 30 MB/s; both the outer connection
 * and the tunnel inside it need the larger window.
 */
export const windowBytes = 4 << 20;

/** Longest message we accept and send: BuildKit's default (util/grpcutil, containerd defaults). */
export const maxMessageBytes = 16 << 20;

/** Most header bytes of one call; include patterns and error details travel in headers. */
export const maxHeaderBytes = 16 << 20;

/** Session options for both roles. node's own limits suit web pages: 128 header lines, 10 MB per connection. */
export const sessionOptions = {
  maxHeaderListPairs: 1 << 20,
  maxSendHeaderBlockLength: maxHeaderBytes,
  maxSessionMemory: 1 << 10,
  maxOutstandingPings: 10,
  peerMaxConcurrentStreams: 1 << 20,
  settings: {
    initialWindowSize: windowBytes,
    maxConcurrentStreams: 1 << 20,
    maxHeaderListSize: maxHeaderBytes,
    enablePush: false,
  },
} satisfies http2.SessionOptions;
