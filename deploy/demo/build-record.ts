import { isStep } from "./step-name.ts";

/** One message of `--progress=rawjson`, which docker buildx and buildfleet build write alike (BuildKit client/graph.go). */
interface ProgressMessage {
  readonly vertexes?: readonly {
    readonly digest: string;
    readonly name?: string;
    readonly started?: string;
    readonly completed?: string;
    readonly cached?: boolean;
    readonly error?: string;
  }[];
  readonly statuses?: readonly {
    readonly id: string;
    readonly vertex: string;
  }[];
  readonly logs?: readonly { readonly vertex: string; readonly data: string }[];
}

/** What is known of one vertex. */
export interface Step {
  readonly digest: string;
  readonly name: string;
  readonly startedMs: number;
  readonly completedMs?: number;
  readonly cached: boolean;
  readonly error: string;
  /** Id of the agent that ran it; only container steps say so. */
  readonly agentId?: string;
}

export interface BuildListener {
  readonly completed: (step: Step) => void;
  readonly output: (step: Step, line: string) => void;
}

/** Everything a build has told about itself. */
export class BuildRecord {
  readonly #steps = new Map<string, Step>();
  readonly #partialLines = new Map<string, string>();
  readonly #listener: BuildListener;
  #openMessage = "";

  constructor(listener: BuildListener) {
    this.#listener = listener;
  }

  /** Steps of the Dockerfile in the order in which they began; not what the client and the frontend do around them. */
  get steps(): readonly Step[] {
    return [...this.#steps.values()].filter((step) => isStep(step.name)).sort((a, b) => a.startedMs - b.startedMs);
  }

  /**
   * Takes one line. A message is one line; older versions of buildx spread it over several, of which the first and the last are
   * a lone brace. @returns false for text that is no progress
   */
  add(line: string): boolean {
    if (line === "{" || this.#openMessage !== "") {
      this.#openMessage += line;
      if (line !== "}") return true;
      const message = parse(this.#openMessage);
      this.#openMessage = "";
      return this.#take(message);
    }
    return this.#take(parse(line));
  }

  #take(message: ProgressMessage | undefined): boolean {
    if (message === undefined) return false;
    for (const status of message.statuses ?? []) this.#status(status);
    for (const log of message.logs ?? []) this.#log(log.vertex, Buffer.from(log.data, "base64").toString());
    for (const vertex of message.vertexes ?? []) this.#vertex(vertex);
    return true;
  }

  #vertex(vertex: NonNullable<ProgressMessage["vertexes"]>[number]): void {
    const before = this.#steps.get(vertex.digest);
    const step: Step = {
      digest: vertex.digest,
      name: vertex.name || before?.name || "",
      startedMs: vertex.started === undefined ? (before?.startedMs ?? 0) : Date.parse(vertex.started),
      cached: vertex.cached === true || (before?.cached ?? false),
      error: vertex.error ?? "",
      ...(before?.agentId === undefined ? {} : { agentId: before.agentId }),
      ...(vertex.completed === undefined ? {} : { completedMs: Date.parse(vertex.completed) }),
    };
    this.#steps.set(vertex.digest, step);
    if (step.completedMs !== undefined && before?.completedMs === undefined) this.#listener.completed(step);
  }

  #status({ id, vertex }: NonNullable<ProgressMessage["statuses"]>[number]): void {
    const step = this.#steps.get(vertex);
    const agentId = /^agent (\S+)/.exec(id)?.[1];
    if (step !== undefined && agentId !== undefined) this.#steps.set(vertex, { ...step, agentId });
  }

  #log(vertex: string, text: string): void {
    const step = this.#steps.get(vertex);
    const lines = `${this.#partialLines.get(vertex) ?? ""}${text}`.split("\n");
    this.#partialLines.set(vertex, lines.pop() ?? "");
    if (step !== undefined) for (const line of lines) this.#listener.output(step, line);
  }
}

function parse(line: string): ProgressMessage | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as ProgressMessage;
  } catch {
    return undefined;
  }
}
