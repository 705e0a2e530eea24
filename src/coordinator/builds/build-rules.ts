import type { Definition, SourceOp } from "../../api/gen/ops.ts";
import type { Policy } from "../../api/gen/sourcepolicy.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import type { BuildShare } from "../../core/values/build-share.ts";
import type { CdiDevice } from "../../core/values/cdi-device.ts";
import type { Digest } from "../../core/values/digest.ts";
import { type LlbEdge, loadDefinition, sourceOps } from "../../llb/definition/index.ts";
import { allOrAbort } from "../../util/all-or-abort.ts";
import type { BuildSourcePolicy } from "./build-source-policy.ts";
import { checkEntitlements } from "./check-entitlements.ts";

/** What a build and its definitions are under. */
export interface BuildRules {
  readonly share: BuildShare;
  /** Granted to the build. */
  readonly entitlements: ReadonlySet<string>;
  readonly sourcePolicy: BuildSourcePolicy;
}

/**
 * The graph of a definition, its sources as the policies want them.
 * @param rules of every build that wants it: each policy must let a source pass, one build must be granted an entitlement
 * @param asked policies of the request
 * @param devices of each agent
 * @throws BuildError `failed to load LLB: …`
 */
export async function admitDefinition(
  definition: Definition,
  rules: readonly BuildRules[],
  asked: readonly Policy[],
  devices: () => readonly (readonly CdiDevice[])[],
  signal: AbortSignal,
): Promise<LlbEdge> {
  const granted = new Set(rules.flatMap(({ entitlements }) => [...entitlements]));
  let sources: ReadonlyMap<Digest, SourceOp>;
  try {
    sources = await changedSources(sourceOps(definition), rules, asked, signal);
  } catch (error) {
    throw BuildError.from(error).wrap("failed to load LLB");
  }
  return loadDefinition(definition, {
    ...(sources.size === 0 ? {} : { sources }),
    check: (op) => checkEntitlements(op, granted, devices),
  });
}

/** By the digest of their op in the definition. */
async function changedSources(
  ops: ReturnType<typeof sourceOps>,
  rules: readonly BuildRules[],
  asked: readonly Policy[],
  signal: AbortSignal,
): Promise<ReadonlyMap<Digest, SourceOp>> {
  const changed = new Map<Digest, SourceOp>();
  try {
    await allOrAbort(ops, signal, async ({ digest, op: { platform }, source }, both) => {
      let current = source;
      for (const { sourcePolicy } of rules) {
        current = await sourcePolicy.apply({ source: current, platform }, [...sourcePolicy.rules, ...asked], both);
      }
      if (current !== source) changed.set(digest, current);
    });
  } catch (error) {
    throw BuildError.from(error).wrap("error evaluating the source policy");
  }
  return changed;
}

/** Of work for no build in particular. */
const noBuild: BuildShare = { build: "", tenant: "", priority: 0, weight: 1 };

/** Rules of the builds in progress, for definitions which their steps bring along. */
export class RulesOfBuilds {
  readonly #rules = new Map<string, BuildRules>();

  /** Dispose when the build is over. */
  register(jobId: string, rules: BuildRules): Disposable {
    this.#rules.set(jobId, rules);
    return { [Symbol.dispose]: () => void this.#rules.delete(jobId) };
  }

  /** Builds in progress. */
  get size(): number {
    return this.#rules.size;
  }

  of(jobIds: readonly string[]): readonly BuildRules[] {
    return jobIds.flatMap((id) => this.#rules.get(id) ?? []);
  }

  /** The share of the build that counts most. */
  shareOf(jobIds: readonly string[]): BuildShare {
    const shares = this.of(jobIds).map(({ share }) => share);
    return shares.reduce((best, share) => (share.priority > best.priority ? share : best), shares[0] ?? noBuild);
  }
}
