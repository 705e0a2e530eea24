import { renderWaterfall, type SpanRecord } from "../../src/telemetry/index.ts";
import { isStep, shortName } from "./step-name.ts";

/** Bytes that one agent read from another. */
export interface Transfer {
  /** Address of the agent that gave. */
  readonly from: string;
  /** Id of the agent that asked. */
  readonly toAgentId: string;
  readonly bytes: number;
}

/** Of what happens within a step, what is worth a line when it takes long enough. */
const shownParts = new Set(["queue wait", "fetch layers", "run container", "push blob"]);
/** Parts shorter than this share of the build are left out. */
const smallestShare = 0.02;

/** The spans of one build, as the coordinator and the agents reported them. */
export class BuildTrace {
  readonly #spans: readonly SpanRecord[];
  readonly #byId: ReadonlyMap<string, SpanRecord>;

  constructor(spans: readonly SpanRecord[]) {
    this.#spans = spans;
    this.#byId = new Map(spans.map((span) => [span.spanId, span]));
  }

  /** What went from agent to agent, one entry per blob. */
  get transfers(): readonly Transfer[] {
    return this.#spans
      .filter((span) => span.name === "read blob")
      .map((span) => ({
        from: new URL(String(span.attributes["peer.url"])).hostname,
        toAgentId: this.#agentOf(span) ?? "",
        bytes: Number(span.attributes["transfer.bytes"] ?? 0),
      }))
      .filter(({ bytes }) => bytes > 0);
  }

  /** The coordinator's part of the trace as text: steps, and what took time within them. */
  waterfall(width: number, agentName: (id: string) => string): string {
    const builds = this.#spans.filter(({ name, service }) => name === "build" && service === "buildfleet-coordinator");
    const [build] = builds.sort((a, b) => duration(b) - duration(a));
    if (build === undefined) return "";
    const isRow = ({ name }: SpanRecord) => isStep(name) || /^(finalize: )?exporting/.test(name);
    const isPart = (span: SpanRecord) =>
      shownParts.has(span.name) && duration(span) > duration(build) * smallestShare && this.#above(span).some(isRow);
    const shown = this.#spans.filter(
      (span) => span === build || ((isRow(span) || isPart(span)) && this.#above(span).includes(build)),
    );
    const kept = new Set(shown.map(({ spanId }) => spanId));
    const rows = shown.map((span): SpanRecord => {
      const id = this.#agentOf(span) ?? this.#agentBelow(span);
      return {
        ...span,
        name: shortName(span.name, width),
        parentSpanId: this.#above(span).find(({ spanId }) => kept.has(spanId))?.spanId ?? "",
        attributes: id === undefined || span === build ? {} : { "agent.id": agentName(id) },
      };
    });
    return renderWaterfall(rows, width);
  }

  /** Parents, nearest first. */
  #above(span: SpanRecord): SpanRecord[] {
    const above: SpanRecord[] = [];
    for (let at = this.#byId.get(span.parentSpanId); at !== undefined; at = this.#byId.get(at.parentSpanId))
      above.push(at);
    return above;
  }

  #agentOf(span: SpanRecord): string | undefined {
    const id = [span, ...this.#above(span)].find(({ attributes }) => attributes["agent.id"] !== undefined);
    return id === undefined ? undefined : String(id.attributes["agent.id"]);
  }

  /** The agent that did the work of a step, when it was one. */
  #agentBelow(span: SpanRecord): string | undefined {
    const ids = new Set(
      this.#spans
        .filter(({ name }) => name.startsWith("task "))
        .filter((task) => this.#above(task).includes(span))
        .map((task) => String(task.attributes["agent.id"])),
    );
    return ids.size === 1 ? [...ids][0] : undefined;
  }
}

function duration(span: SpanRecord): number {
  return Number(span.endNanos - span.startNanos);
}
