import { compareListings, decodeListing } from "../../contenthash/index.ts";
import { type Digest, parseDigest } from "../../core/values/digest.ts";
import type { AgentControl } from "../fleet/agent-control.ts";
import type { FileChanges } from "./explanation.ts";

const timeoutMs = 15_000;

/** Says which files make the difference between two content digests, by the listings that agents keep. */
export class FleetListings {
  readonly #agents: AgentControl;

  constructor(agents: AgentControl) {
    this.#agents = agents;
  }

  /** @returns undefined when a listing is not there any more */
  async changes(before: string, after: string, limit: number, signal: AbortSignal): Promise<FileChanges | undefined> {
    const [old, now] = await Promise.all([before, after].map((digest) => this.#listing(parseDigest(digest), signal)));
    if (old === undefined || now === undefined) return undefined;
    const changes = compareListings(decodeListing(old), decodeListing(now));
    return { changes: changes.slice(0, limit), more: Math.max(0, changes.length - limit) };
  }

  async #listing(digest: Digest, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const answers = await this.#agents.ask({ op: "listing", digest }, timeoutMs, signal);
    return answers.find(({ bytes }) => bytes !== undefined)?.bytes;
  }
}
