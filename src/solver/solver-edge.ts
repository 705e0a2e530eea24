/*
 * An edge is one output of a vertex and goes through five states (map d3). Each is a task that is done once for everybody who
 * asks (SharedTask); a state is reached when its task has settled:
 *
 *   initial → fast → slow → deep → complete
 *
 *   fast   keys that follow from definitions: the op's cache map and the keys of its inputs. Runs nothing.
 *   slow   further keys: later cache maps of a source; keys through slow keys of inputs. Ends with the first that is found.
 *   deep   only when no key has a record: keys by the content of inputs, for which these may have to run.
 *   result from cache by one of the keys, or by running the op on the results of its inputs.
 *
 * Invariants
 *  1. A task only waits for tasks of its own vertex and of inputs, and the graph has no cycle: no deadlock. The one sideways
 *     wait is for the run of an edge with an equal key. That edge has all its inputs and waits for nothing but its op; an op that
 *     builds nested graphs is never joined from within (RunIndex).
 *  2. A vertex runs at most once at a time: `exec` is one task per vertex, its next run begins after the last has settled, and
 *     the successor of a dropped vertex waits for that one's end.
 *  3. Who asks holds a signal. A task whose last asker is gone is aborted, and so lets go of everything it asked for. An aborted
 *     task leaves no outcome and starts anew when asked again; any other outcome, value or error, stays until the vertex dies.
 *  4. An edge asks an input for no more than it needs: `fast` of all; `slow`, then `deep` of an input whose keys lead nowhere;
 *     the result of an input whose content decides; and the results of all only when no record can match any more. A key that
 *     has no record itself, as in a cache of mode min, is enough to look further up.
 *  5. Once one input is known to lead nowhere the edge stops looking: its askers learn at once that there will be no key.
 *  6. Keys are only ever added. A vertex that ignores cache has none before its run and gives none to others, but its run is
 *     stored like any other (map d22).
 *  7. A result is stored before the edge is complete, under the keys of the inputs that it was made from.
 *  8. A result that turns out to be lost is forgotten, with all below it that the same loss names (loss.ts): by `run` for all
 *     edges that have joined it. Whoever asks afterwards shares one run. A vertex does so a few times, and not when what it made
 *     last is lost as what it had made before.
 */

import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { CacheMap } from "../core/seams/op.ts";
import { inSpan } from "../telemetry/index.ts";
import { allOrAbort } from "../util/all-or-abort.ts";
import type { CacheCandidate } from "./cache.ts";
import { CacheKey, type CacheKeyWithSelector } from "./cache-key.ts";
import type { HeldResult } from "./cached-result.ts";
import { EdgeInput } from "./edge-input.ts";
import { EdgeLog } from "./edge-log.ts";
import { EdgeRecords } from "./edge-records.ts";
import type { Loss } from "./loss.ts";
import { LostResults } from "./lost-results.ts";
import { comparableKey } from "./run-index.ts";
import { SharedResult } from "./shared-result.ts";
import type { SharedTask } from "./shared-task.ts";
import type { VertexRun, VertexState } from "./vertex-state.ts";

/** Thrown by a look-up through one input to stop those through the others (invariant 5). */
const leadsNowhere = Symbol("no key can follow from this input");

export class SolverEdge<T> {
  readonly vertex: VertexState<T>;
  readonly index: number;
  readonly log: EdgeLog;
  /** Keys of this edge that some store knows, and after a run those that it was stored under. */
  readonly keys: CacheKey<T>[] = [];
  readonly fast: SharedTask<void>;
  readonly slow: SharedTask<void>;
  readonly deep: SharedTask<void>;
  readonly result: SharedTask<HeldResult<T>>;
  /** Run and store, without a look at the cache. Also asked by edges with an equal key. */
  readonly run: SharedTask<HeldResult<T>>;
  /** Store that the result was loaded from. */
  loadedFrom: string | undefined;
  /** The result is that of an edge with an equal key. */
  joined = false;
  readonly #inputs: readonly EdgeInput<T>[];
  readonly #known = new Map<string, Promise<void>>();
  readonly #records: EdgeRecords<T>;
  readonly #loadedMaps: CacheMap<T>[] = [];
  readonly #lost = new LostResults<T>();
  /** `deep` did not look at content, as there were records. */
  #stoppedAtRecords = false;

  constructor(vertex: VertexState<T>, index: number) {
    this.vertex = vertex;
    this.index = index;
    const { context } = vertex;
    const fields = { vertex: vertex.digest, name: vertex.vertex.name, output: index };
    this.log = new EdgeLog(context.debugs(vertex.vertex) ? context.logger.child(fields) : undefined);
    this.#records = new EdgeRecords(vertex, this.log);
    const found = () => ({ keys: this.keys.length, records: this.#records.size });
    this.fast = this.log.task("fast keys", (signal) => this.#findFast(signal), found);
    this.slow = this.log.task("slow keys", (signal) => this.#findSlow(signal), found);
    this.deep = this.log.task("keys by content", (signal) => this.#findDeep(signal), found);
    this.result = this.log.task("result", (signal) => this.#complete(signal), found);
    this.run = this.log.task("run", (signal) => this.#run(signal), found);
    this.#inputs = vertex.inputs.map((input, i) => new EdgeInput(this, i, input.state.edge(input.index)));
  }

  /** A stored result was found and could not be loaded. */
  get lostResult(): boolean {
    return this.#records.lost;
  }

  /** All that must come to rest before the vertex can go. */
  tasks(): SharedTask<unknown>[] {
    return [this.fast, this.slow, this.deep, this.result, this.run, ...this.#inputs.flatMap((input) => input.tasks())];
  }

  /**
   * The result cannot be read: who asks from now on gets another record's, or one that is made, also of what lies below and
   * is lost as well.
   * @returns false when that would be of no use
   */
  discredit(held: HeldResult<T>, loss: Loss<T>): boolean {
    // Somebody else did so already.
    if (!this.result.has(held)) return true;
    const { maker, record } = held;
    if (maker !== undefined && !maker.#forgetRun(held, loss)) return false;
    this.#lost.add(held);
    this.result.forget(held);
    if (record !== undefined) loss.discredit(record, this.vertex.cache);
    return true;
  }

  /** As `discredit`, if the loss means a result of the edge: the one that is there, or one that was made anew since. */
  discreditMeant(loss: Loss<T>): boolean {
    const given = this.result.outcome?.ok === true ? this.result.outcome.value : undefined;
    const meant = given !== undefined && loss.names(given.result) ? given : this.#lost.find(loss);
    return meant !== undefined && this.discredit(meant, loss);
  }

  #forgetRun(held: HeldResult<T>, loss: Loss<T>): boolean {
    if (!this.run.has(held)) return true;
    if (!this.vertex.runAgain(held.shared, loss)) return false;
    this.#lost.add(held);
    this.run.forget(held);
    this.result.forget(held);
    for (const record of held.cacheKeys.flatMap((key) => key.records)) loss.discredit(record, this.vertex.cache);
    return true;
  }

  async #findFast(signal: AbortSignal): Promise<void> {
    if (this.#inputs.length === 0) {
      await this.#findByMap(0, signal);
      return;
    }
    if (this.vertex.ignoreCache) return;
    const open = await this.#everyInput(signal, async (input, task) => {
      await input.fast.get(task);
      return input.candidates.size > 0;
    });
    if (open) await this.#combine(signal);
  }

  async #findSlow(signal: AbortSignal): Promise<void> {
    await this.fast.get(signal);
    if (this.#inputs.length === 0) {
      for (let index = 1; !(await this.vertex.cacheMap(index - 1, signal)).done; index++) {
        await this.#findByMap(index, signal);
      }
      return;
    }
    if (this.vertex.ignoreCache || this.keys.length > 0) return;
    await this.#findThroughInputs(signal);
  }

  async #findDeep(signal: AbortSignal): Promise<void> {
    await this.slow.get(signal);
    if (this.vertex.ignoreCache || this.#inputs.length === 0) return;
    if (this.#records.size > 0) this.#stoppedAtRecords = true;
    else await this.#findByContent(signal);
  }

  async #findByContent(signal: AbortSignal): Promise<void> {
    if (!(await this.#findThroughInputs(signal)) || this.#records.size > 0) return;
    await allOrAbort(this.#inputs, signal, (input, task) => input.deepest.get(task));
    await this.#combine(signal);
  }

  /** @returns false when one of the inputs leads nowhere */
  async #findThroughInputs(signal: AbortSignal): Promise<boolean> {
    const open = await this.#everyInput(signal, (input, task) => input.slow.get(task));
    if (open) await this.#combine(signal);
    return open;
  }

  /** Looks through all inputs at once; false as soon as one of them leads nowhere. */
  async #everyInput(
    signal: AbortSignal,
    look: (input: EdgeInput<T>, signal: AbortSignal) => Promise<boolean>,
  ): Promise<boolean> {
    try {
      await allOrAbort(this.#inputs, signal, async (input, task) => {
        if (await look(input, task)) return;
        this.log.note("no key can follow from an input", { input: input.index, from: input.source.vertex.vertex.name });
        throw leadsNowhere;
      });
      return true;
    } catch (error) {
      if (error === leadsNowhere) return false;
      throw error;
    }
  }

  async #complete(signal: AbortSignal): Promise<HeldResult<T>> {
    if (this.#inputs.length === 0) await this.fast.get(signal);
    const early = await this.#load(signal);
    if (early !== undefined) return early;
    await this.slow.get(signal);
    const cached = await this.#load(signal);
    if (cached !== undefined) return cached;
    await this.deep.get(signal);
    const deeper = await this.#load(signal);
    if (deeper !== undefined) return deeper;
    if (this.#stoppedAtRecords) {
      // None of them could be loaded: what the search was spared then may lead further.
      await this.#findByContent(signal);
      const last = await this.#load(signal);
      if (last !== undefined) return last;
    }

    const inputs = await allOrAbort(this.#inputs, signal, (input, task) => input.complete(task));
    if (!this.vertex.ignoreCache && this.#inputs.length > 0) {
      await Promise.all(inputs.map((held, index) => this.#inputs[index]?.probeResult(held, signal)));
      await this.#combine(signal);
      const late = await this.#load(signal);
      if (late !== undefined) return late;
    }

    const keys = await this.#commitKeys(inputs, signal);
    const comparable = await Promise.all(keys.map((key) => comparableKey(key, this.vertex.cache)));
    signal.throwIfAborted();
    this.vertex.throwIfDisposed();
    const other = this.vertex.context.runs.claim(this, comparable);
    if (other === undefined) this.log.note("no record can match", { ignoresCache: this.vertex.ignoreCache });
    else
      this.log.note("takes the result of an equal edge", { of: other.vertex.digest, ofName: other.vertex.vertex.name });
    return other === undefined ? this.run.get(signal) : this.#join(other, keys, signal);
  }

  /** Keys of an edge without inputs: one per cache map. @returns true after the last */
  async #findByMap(index: number, signal: AbortSignal): Promise<boolean> {
    const { map, done } = await this.vertex.cacheMap(index, signal);
    if (this.#loadedMaps[index] !== undefined) return done;
    if (!this.vertex.ignoreCache && map.ephemeral !== true) {
      for (const candidate of await this.vertex.cache.root(map.digest, this.index)) {
        await this.#addKey(candidate, this.#newKey(map, []));
      }
    }
    this.#loadedMaps[index] = map;
    return done;
  }

  /** Turns what follows from every input into keys. */
  async #combine(signal: AbortSignal): Promise<void> {
    const [first, ...others] = this.#inputs;
    if (first === undefined) return;
    const { map } = await this.vertex.cacheMap(0, signal);
    for (const [token, candidate] of first.candidates) {
      if (!others.every((input) => input.candidates.has(token))) continue;
      let known = this.#known.get(token);
      if (known === undefined) {
        const deps = this.#inputs.map((input, i) => input.alternatives(map.deps[i]?.selector ?? ""));
        known = this.#addKey(candidate, this.#newKey(map, deps));
        this.#known.set(token, known);
      }
      await known;
    }
  }

  async #addKey(candidate: CacheCandidate<T>, key: CacheKey<T>): Promise<void> {
    key.setIdIn(candidate.manager, candidate.id);
    key.records = await this.vertex.cache.records(candidate, key);
    this.#records.add(key.records);
    this.keys.push(key);
  }

  #newKey(map: CacheMap<T>, deps: readonly (readonly CacheKeyWithSelector<T>[])[]): CacheKey<T> {
    const { exportCache } = this.vertex.vertex.options;
    return new CacheKey<T>(map.digest, this.index, {
      deps,
      vertex: this.vertex.vertex.digest,
      ephemeral: map.ephemeral === true,
      ...(exportCache === undefined ? {} : { exportCache }),
    });
  }

  async #load(signal: AbortSignal): Promise<HeldResult<T> | undefined> {
    const loaded = await this.#records.load(signal);
    if (loaded === undefined) return undefined;
    const { record, result } = loaded;
    this.loadedFrom = record.manager.id;
    record.key.fresh = { result, createdAt: record.createdAt };
    const shared = new SharedResult<T>(result, this.vertex.context.releaseResult);
    this.vertex.hold(shared);
    return { result, shared, cacheKeys: [record.key], record };
  }

  async #commitKeys(inputs: readonly HeldResult<T>[], signal: AbortSignal): Promise<CacheKey<T>[]> {
    if (this.#inputs.length === 0) {
      if (this.#loadedMaps.length === 0) await this.#findByMap(0, signal);
      return this.#loadedMaps.map((map) => this.#newKey(map, []));
    }
    const { map } = await this.vertex.cacheMap(0, signal);
    const deps = this.#inputs.map((input, i) => input.alternatives(map.deps[i]?.selector ?? "", inputs[i]));
    return [this.#newKey(map, deps)];
  }

  async #run(signal: AbortSignal): Promise<HeldResult<T>> {
    const { outputs, inputs } = await this.#runOnKnown(signal);
    const shared = outputs[this.index];
    if (shared === undefined) {
      throw new BuildError(
        Code.Unknown,
        `invalid response from exec need ${this.index} index but ${outputs.length} results received`,
      );
    }
    const keys = await this.#commitKeys(inputs, signal);
    const { cache, context, digest, traceparent, vertex } = this.vertex;
    const createdAt = context.clock.now();
    const span = { parent: traceparent, attributes: { vertex: digest } };
    for (const key of keys) {
      // Named as in BuildKit solver/jobs.go.
      const record = await inSpan(`save cache: ${vertex.name}`, span, () => cache.save(key, shared.value, createdAt));
      this.log.note("stored", { record: record?.id, key: key.idIn(context.cache) });
      key.fresh = { result: shared.value, createdAt };
      key.nested = [...this.vertex.nestedKeys];
      if (record !== undefined) key.records = [record];
    }
    if (!this.vertex.ignoreCache) this.keys.push(...keys);
    this.#lost.replacedBy(keys);
    return { result: shared.value, shared, cacheKeys: keys, maker: this };
  }

  /** The op's run, on inputs whose content is known where the op wants that. */
  async #runOnKnown(signal: AbortSignal): Promise<VertexRun<T>> {
    for (;;) {
      const run = await this.vertex.exec.get(signal);
      const known = await allOrAbort(this.#inputs, signal, (input, task) =>
        input.knows(run.inputs[input.index] as HeldResult<T>, task),
      );
      if (!known.includes(false)) return run;
      // While it ran, what it was run on was lost, and nobody had looked at it: it cannot be stored.
      this.vertex.exec.forget(run);
    }
  }

  /** Takes the result of an edge with an equal key. Our ways to the key become further ways to its record. */
  async #join(other: SolverEdge<T>, keys: readonly CacheKey<T>[], signal: AbortSignal): Promise<HeldResult<T>> {
    this.vertex.keepAlive(other.vertex);
    this.vertex.shareParents(other.vertex);
    const held = await this.vertex.progress.during(() => other.run.get(signal), { cached: true, signal });
    this.vertex.hold(held.shared.retain());
    this.joined = true;
    for (const known of held.cacheKeys) {
      for (const key of keys) {
        if (key.rootKey !== known.rootKey) continue;
        known.addSecondary(key);
        await this.vertex.cache.alias(key, known);
      }
    }
    if (!this.vertex.ignoreCache) this.keys.push(...held.cacheKeys);
    return held;
  }
}
