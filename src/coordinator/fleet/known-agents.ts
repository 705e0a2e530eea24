import type { Clock } from "../../core/seams/clock.ts";
import type { KeyValue } from "../../core/seams/key-value.ts";
import { decode, encode } from "../../util/msgpack.ts";
import type { AgentRegistry } from "./agent-registry.ts";

const dayMs = 86_400_000;
/** An agent that was not heard for so long does not come back with what it held. */
const goneAfterMs = 7 * dayMs;
/** Times are only written so often. */
const precisionMs = dayMs / 24;

/** When each agent was heard last, over restarts of coordinators; a bucket they share. Times are Unix milliseconds. */
export class KnownAgents {
  readonly #bucket: KeyValue;
  readonly #registry: Pick<AgentRegistry, "get">;
  readonly #clock: Clock;

  constructor(bucket: KeyValue, registry: Pick<AgentRegistry, "get">, clock: Clock) {
    this.#bucket = bucket;
    this.#registry = registry;
    this.#clock = clock;
  }

  /**
   * Agents that are gone for good. One seen for the first time counts from now on.
   * @param holders agents that are said to have something
   */
  async gone(holders: Iterable<string>): Promise<readonly string[]> {
    const gone: string[] = [];
    const now = this.#clock.now();
    const heard = await this.#heard();
    for (const id of new Set([...heard.keys(), ...holders])) {
      const heardAt = heard.get(id);
      const lives = this.#registry.get(id) !== undefined;
      if (heardAt === undefined || (lives && now - heardAt > precisionMs)) await this.#bucket.put(id, encode(now));
      else if (!lives && now - heardAt > goneAfterMs) gone.push(id);
    }
    return gone;
  }

  async forget(id: string): Promise<void> {
    await this.#bucket.delete(id);
  }

  async #heard(): Promise<ReadonlyMap<string, number>> {
    const heard = new Map<string, number>();
    using watch = this.#bucket.watch("", ({ key, value }) => {
      if (value !== undefined) heard.set(key, decode<number>(value));
    });
    await watch.ready;
    return heard;
  }
}
