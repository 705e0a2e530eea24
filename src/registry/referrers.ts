import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { type Descriptor, isDescriptor } from "../core/values/descriptor.ts";
import type { Digest } from "../core/values/digest.ts";
import type { HttpResponse } from "./http-exchange.ts";

/**
 * What says that it is about a manifest: the registry's own list, else the index under the tag that stands in for one
 * (OCI distribution spec 1.1, listing referrers). A registry that knows of neither has none.
 * @param open GET below the repository; undefined for 404
 * @throws BuildError when what it answers is no list, or more than `maxBytes`
 */
export async function listReferrers(
  digest: Digest,
  maxBytes: number,
  open: (path: string) => Promise<HttpResponse | undefined>,
): Promise<readonly Descriptor[]> {
  const response = (await open(`referrers/${digest}`)) ?? (await open(`manifests/${digest.replace(":", "-")}`));
  if (response === undefined) return [];
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > maxBytes) throw new BuildError(Code.Unknown, `referrers of ${digest} exceed ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  let manifests: unknown;
  try {
    ({ manifests } = JSON.parse(Buffer.concat(chunks).toString("utf8")) as { readonly manifests?: unknown });
  } catch (cause) {
    throw new BuildError(Code.Unknown, `failed to decode referrers index: ${(cause as Error).message}`, { cause });
  }
  return Array.isArray(manifests) ? manifests.filter(isDescriptor) : [];
}
