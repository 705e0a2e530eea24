import { subjects } from "../bus/index.ts";
import { BuildError } from "../core/errors/build-error.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { BusMessage, MessageBus } from "../core/seams/message-bus.ts";
import type { AgentControlReplies, AgentControlRequest } from "../core/values/agent-control.ts";
import { decode, encode } from "../util/msgpack.ts";
import type { AgentInventory } from "./inventory/agent-inventory.ts";
import type { ContentListings } from "./inventory/content-listings.ts";

export interface ControlServerOptions {
  readonly bus: MessageBus;
  readonly agentId: string;
  readonly inventory: AgentInventory;
  readonly listings: Pick<ContentListings, "read">;
  readonly logger: Logger;
}

/** Answers what coordinators ask of an agent besides tasks. */
export class ControlServer implements Disposable {
  readonly #options: ControlServerOptions;
  readonly #stop = new AbortController();
  readonly #subscription: Disposable;

  constructor(options: ControlServerOptions) {
    this.#options = options;
    const subject = subjects.agentControl(options.agentId);
    this.#subscription = options.bus.subscribe(subject, (message) => void this.#answer(message));
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#stop.abort();
  }

  async #answer(message: BusMessage): Promise<void> {
    try {
      const request = decode<AgentControlRequest>(message.data);
      message.respond(encode(await this.#reply(request)));
    } catch (error) {
      // The coordinator goes on without this agent's answer.
      this.#options.logger.error("control request failed", { error: String(error) });
      message.respond(encode({ error: BuildError.from(error).toWire() }));
    }
  }

  async #reply(request: AgentControlRequest): Promise<AgentControlReplies[AgentControlRequest["op"]]> {
    const { inventory, listings } = this.#options;
    switch (request.op) {
      case "usage":
        return inventory.usage();
      case "prune": {
        const round = { keep: request.inUse, patient: true, signal: this.#stop.signal };
        return (await inventory.collect([request.options], round)).removed;
      }
      case "drop":
        return inventory.drop(request.ids, this.#stop.signal);
      case "listing": {
        const bytes = await listings.read(request.digest);
        return bytes === undefined ? {} : { bytes };
      }
    }
  }
}
