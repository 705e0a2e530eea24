import { type Digest, sha256 } from "../../core/values/digest.ts";
import type { Platform } from "../../core/values/platform.ts";
import { goJson } from "../../util/go-json.ts";

/** Key #0 of an image source: what the reference resolved to, for which platform (map d16, byte-exact). */
export function manifestKey(digest: Digest, platform: Platform, layerLimit: number | undefined): Digest {
  return sha256(
    goJson({
      Digest: digest,
      OS: platform.os,
      Arch: platform.architecture,
      Variant: platform.variant || undefined,
      OSVersion: platform.osVersion || undefined,
      OSFeatures: platform.osFeatures.length === 0 ? undefined : platform.osFeatures,
      Limit: layerLimit,
    }),
  );
}

/** The chain ids of every prefix of the layers, bottom first (OCI image-spec config.md). */
export function chainIds(diffIds: readonly Digest[]): readonly Digest[] {
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const parent = chain.at(-1);
    chain.push(parent === undefined ? diffId : sha256(`${parent} ${diffId}`));
  }
  return chain;
}
