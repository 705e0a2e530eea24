import { BuildError } from "./build-error.ts";
import { Code } from "./code.ts";

/** The agent that ran a task is gone; what the task had done by then is not known. */
export class AgentLostError extends BuildError {
  constructor(agentId: string, reason: string) {
    super(Code.Unavailable, `agent ${agentId} was lost: ${reason}`, { infrastructure: true });
  }
}
