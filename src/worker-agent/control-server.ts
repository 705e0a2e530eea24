import { subjects } from "../bus/index.ts";
import { BuildError } from "../core/errors/build-error.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { BusMessage, MessageBus } from "../core/seams/message-bus.ts";
import type { UsageRecord } from "../core/values/agent.ts";
import type { AgentControlRequest } from "../core/values/agent-control.ts";
import { decode, encode } from "../util/msgpack.ts";
import type { AgentInventory } from "./inventory/agent-inventory.ts";

/** Answers what coordinators ask of an agent besides tasks. */
export class ControlServer implements Disposable {
  readonly #inventory: AgentInventory;
  readonly #logger: Logger;
  readonly #stop = new AbortController();
  readonly #subscription: Disposable;

  constructor(bus: MessageBus, agentId: string, inventory: AgentInventory, logger: Logger) {
    this.#inventory = inventory;
    this.#logger = logger;
    this.#subscription = bus.subscribe(subjects.agentControl(agentId), (message) => void this.#answer(message));
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#stop.abort();
  }

  async #answer(message: BusMessage): Promise<void> {
    try {
      const request = decode<AgentControlRequest>(message.data);
      message.respond(encode(await this.#records(request)));
    } catch (error) {
      // The coordinator goes on without this agent's answer.
      this.#logger.error("control request failed", { error: String(error) });
      message.respond(encode({ error: BuildError.from(error).toWire() }));
    }
  }

  async #records(request: AgentControlRequest): Promise<readonly UsageRecord[]> {
    if (request.op === "usage") return this.#inventory.usage();
    if (request.op === "drop") return this.#inventory.drop(request.ids, this.#stop.signal);
    const round = { keep: request.inUse, patient: true, signal: this.#stop.signal };
    return (await this.#inventory.collect([request.options], round)).removed;
  }
}
