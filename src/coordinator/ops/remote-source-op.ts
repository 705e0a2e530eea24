import { SourceOp } from "../../api/gen/ops.ts";
import type { CacheMap, Op, OpContext, Vertex } from "../../core/seams/op.ts";
import { sha256 } from "../../core/values/digest.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { ResolvedSource } from "../../core/values/task.ts";
import { localSourceKey, sourceCacheDigest } from "../../llb/cache-keys/index.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";
import type { OpDependencies } from "./fleet-ops.ts";
import { parseLocalSource } from "./local-source.ts";
import { taskContext } from "./task-context.ts";

/** A source that an agent resolves and fetches: git, http, single blobs, and directories of the client. */
export class RemoteSourceOp implements Op<Ref> {
  readonly #vertex: Vertex;
  readonly #payload: LlbPayload;
  readonly #source: SourceOp;
  readonly #dependencies: OpDependencies;
  #resolved: ResolvedSource | undefined;

  constructor(vertex: Vertex, payload: LlbPayload, source: SourceOp, dependencies: OpDependencies) {
    this.#vertex = vertex;
    this.#payload = payload;
    this.#source = source;
    this.#dependencies = dependencies;
  }

  get pin(): string | undefined {
    return this.#resolved?.pin;
  }

  async cacheMap(_index: number, context: OpContext): Promise<{ readonly map: CacheMap<Ref>; readonly done: boolean }> {
    const digest = sourceCacheDigest(await this.#key(context));
    return { map: { digest, deps: [], ephemeral: digest.startsWith("random:") }, done: true };
  }

  async exec(_inputs: readonly Ref[], context: OpContext): Promise<readonly Ref[]> {
    const { outputs } = await this.#dependencies.dispatcher.run(
      "source.fetch",
      {
        source: SourceOp.encode(this.#source).finish(),
        platform: this.#payload.platform,
        ...(this.#resolved === undefined ? {} : { resolved: this.#resolved }),
        description: this.#vertex.name,
        // Only checkouts depend on it, so that nothing else fails when builds do not agree.
        ...(this.#source.identifier.startsWith("git://") ? { compatibilityVersion: context.compatibilityVersion } : {}),
      },
      taskContext(this.#vertex, context, { affinity: await this.#affinity(context) }),
    );
    return outputs;
  }

  async #key(context: OpContext): Promise<string> {
    const local = parseLocalSource(this.#source);
    if (local !== undefined)
      return localSourceKey({ ...local, sessionId: local.sessionId || (context.sessions.ids[0] ?? "") });
    this.#resolved ??= await this.#resolve(context);
    return this.#resolved.cacheKey;
  }

  async #resolve(context: OpContext): Promise<ResolvedSource> {
    const { dispatcher, resolvedSources } = this.#dependencies;
    const known = resolvedSources.find(context.sessions.ids, this.#source);
    const resolved = await dispatcher.run(
      "source.resolve",
      {
        source: SourceOp.encode(this.#source).finish(),
        platform: this.#payload.platform,
        ...(known === undefined ? {} : { known }),
      },
      taskContext(this.#vertex, context, { affinity: await this.#affinity(context) }),
    );
    resolvedSources.remember(context.sessions.ids, this.#source, resolved);
    return resolved;
  }

  /** What was fetched before is on the agent that did it: a repository's mirror, a download, the last copy of a directory. */
  async #affinity(context: OpContext): Promise<string> {
    const local = parseLocalSource(this.#source);
    if (local === undefined) return `source ${sha256(this.#source.identifier.replace(/#.*/, ""))}`;
    const sharedKey = await this.#sharedKey(local.sessionId, context);
    return `local ${local.name}:${this.#source.attrs["local.sharedkeyhint"] ?? ""}:${sharedKey}`;
  }

  async #sharedKey(sessionId: string, { sessions, signal }: OpContext): Promise<string> {
    try {
      return (await sessions.get(sessionId || (sessions.ids[0] ?? ""), { signal })).sharedKey;
    } catch {
      signal.throwIfAborted();
      // The agent takes another session of the build when this one is not there.
      return "";
    }
  }
}
