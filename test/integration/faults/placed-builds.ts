import { join } from "node:path";
import { image, type State } from "../../../src/llb/builder/index.ts";
import { type BuildClient, directoryOutput, type Sandbox, type SandboxAgent } from "../../helpers/sandbox/index.ts";

/** Builds of which it is known where a step runs, in a sandbox whose agents have networks of their own. */
export class PlacedBuilds {
  readonly #sandbox: Sandbox;
  readonly #client: BuildClient;
  #outputs = 0;

  constructor(sandbox: Sandbox, client: BuildClient) {
    this.#sandbox = sandbox;
    this.#client = client;
  }

  sh(state: State, command: string, name: string): State {
    return state.run({ args: ["sh", "-ec", command], customName: name });
  }

  base(): State {
    return image(this.#sandbox.image());
  }

  /** Prints the agent's address, takes its time, then writes its name into a file of that name. */
  slow(name: string, seconds = 5): State {
    const placed = `ip -4 addr show eth0 | awk '/inet /{print "${name} on " $2}'`;
    return this.sh(this.base(), `${placed}; sleep ${seconds}; echo ${name} > /${name}`, name);
  }

  /** Builds, and tells where the step of that name first ran, while it runs. */
  start(state: State, name: string) {
    const path = join(this.#sandbox.root, `output-${this.#outputs++}`);
    const placed = Promise.withResolvers<SandboxAgent>();
    const done = this.#client.build({
      state,
      outputs: [directoryOutput(path)],
      onLog: (log) => {
        const agent = this.#agentOf(log, name);
        if (agent !== undefined) placed.resolve(agent);
      },
    });
    done.catch(placed.reject);
    return { placed: placed.promise, done, path };
  }

  #agentOf(log: string, name: string): SandboxAgent | undefined {
    const address = new RegExp(`${name} on ([\\d.]+)`).exec(log)?.[1];
    return this.#sandbox.agents.find((agent) => agent.host?.address === address);
  }
}
