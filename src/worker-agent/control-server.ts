import { subjects } from "../bus/index.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { BusMessage, MessageBus } from "../core/seams/message-bus.ts";
import type { AgentControlRequest } from "../core/values/agent-control.ts";
import { decode, encode } from "../util/msgpack.ts";
import type { AgentInventory } from "./inventory/agent-inventory.ts";

/** Answers what coordinators ask of an agent besides tasks. */
export class ControlServer implements Disposable {
  readonly #inventory: AgentInventory;
  readonly #logger: Logger;
  readonly #subscription: Disposable;

  constructor(bus: MessageBus, agentId: string, inventory: AgentInventory, logger: Logger) {
    this.#inventory = inventory;
    this.#logger = logger;
    this.#subscription = bus.subscribe(subjects.agentControl(agentId), (message) => void this.#answer(message));
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }

  async #answer(message: BusMessage): Promise<void> {
    try {
      const request = decode<AgentControlRequest>(message.data);
      const records =
        request.op === "usage"
          ? await this.#inventory.usage()
          : await this.#inventory.prune(request.options, request.inUse);
      message.respond(encode(records));
    } catch (error) {
      // The coordinator goes on without this agent's answer.
      this.#logger.error("control request failed", { error: String(error) });
    }
  }
}
