import type { Attestation } from "../../api/gen/gateway.ts";
import type { ExportSource } from "../../core/seams/exporter.ts";
import type { FrontendResult, LlbBridge } from "../../core/seams/llb-bridge.ts";
import { hostPlatform } from "../../core/values/platform.ts";
import { isMultiRef, resultPlatforms } from "../../exporters/index.ts";
import { BuildContext, type SbomConfig, SbomScanner } from "../../frontend/index.ts";
import { stateFromDefinition } from "../../llb/builder/index.ts";

const spdxPredicate = "https://spdx.dev/Document";

/**
 * SBOMs for a result whose frontend made none: a scanner runs over each platform (map f24; BuildKit
 * solver/llbsolver/proc/sbom.go).
 * @returns attestations by platform; their refs are the bridge's
 */
export async function attestSbom(
  bridge: LlbBridge,
  config: SbomConfig,
  { result, source }: { readonly result: FrontendResult; readonly source: ExportSource },
  frontendOpt: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Attestation>> {
  const attestations = new Map<string, Attestation>();
  if (hasSbom(result)) return attestations;
  const context = new BuildContext(bridge, {}, {});
  const platform = bridge.workers()[0]?.platforms[0] ?? hostPlatform();
  const resolveMode = frontendOpt["image-resolve-mode"] ?? "default";
  const scanner = await SbomScanner.load(context, config, platform, resolveMode, signal);
  for (const { id } of resultPlatforms(source)) {
    const ref = isMultiRef(source) ? result.refs?.get(id) : result.ref;
    if (ref === undefined) continue;
    const core = stateFromDefinition(ref.definition);
    const noCache = frontendOpt["no-cache"] === "";
    attestations.set(id, await scanner.scan(id, { core, extras: new Map(), noCache }, signal));
  }
  return attestations;
}

function hasSbom({ attestations }: FrontendResult): boolean {
  return [...(attestations?.values() ?? [])]
    .flat()
    .some(({ inTotoPredicateType }) => inTotoPredicateType === spdxPredicate);
}
