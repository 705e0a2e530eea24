import { BuildError, type ErrorDetail } from "../core/errors/build-error.ts";
import type { Digest } from "../core/values/digest.ts";

const vertexTypeUrl = "github.com/moby/buildkit/errdefs.Vertex+json";

/** Detail that tells the client which vertex failed, so that it can print the source lines (map d26). */
export function vertexDetail(digest: Digest): ErrorDetail {
  return { typeUrl: vertexTypeUrl, value: new TextEncoder().encode(JSON.stringify({ digest })) };
}

/** Names the vertex in an error. One that comes out of a nested build names the inner vertex too, after the outer one. */
export function withVertex(error: unknown, digest: Digest, context = ""): BuildError {
  return BuildError.from(error).wrap(context, [vertexDetail(digest)]);
}
