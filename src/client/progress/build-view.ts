import type { StatusResponse, Vertex, VertexStatus } from "../../api/gen/control.ts";
import { timestampMs } from "./timestamp.ts";
import { VertexView } from "./vertex-view.ts";

export interface BuildViewOptions {
  /** Log lines kept per step for error reports. */
  readonly keepLogLines: number;
  /** Unix milliseconds; default the system's clock. */
  readonly now?: () => number;
}

/** Status that our coordinator sends to say which agent runs a step. */
const agentStatus = /^agent (\S+)$/;

/**
 * What is known of a build from its progress so far (BuildKit util/progress/progressui/display.go). Vertices of a progress
 * group appear as one, named as the group.
 */
export class BuildView {
  readonly #options: BuildViewOptions;
  readonly #now: () => number;
  readonly #byDigest = new Map<string, VertexView>();
  readonly #groups = new Map<string, VertexView>();
  readonly #shown: VertexView[] = [];
  #clockOffset: number | undefined;
  #start: number | undefined;
  /** Changed since a display last looked; displays clear it. */
  readonly changed = new Set<VertexView>();

  constructor(options: BuildViewOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Started vertices, in order of their start. */
  get started(): readonly VertexView[] {
    return this.#shown.filter((vertex) => !vertex.hidden);
  }

  /** Distinct vertices, and how many of them are complete. */
  get counts(): { readonly total: number; readonly completed: number } {
    const vertices = new Set([...this.#byDigest.values()].filter((vertex) => !vertex.hidden));
    return { total: vertices.size, completed: [...vertices].filter((vertex) => vertex.completed).length };
  }

  /** The daemon's time now, as far as it can be told from what it sent. */
  get daemonNow(): number {
    return this.#now() - (this.#clockOffset ?? 0);
  }

  /** When the first vertex began, in the daemon's time; now while none has. */
  get startedAt(): number {
    return this.#start ?? this.daemonNow;
  }

  apply(status: StatusResponse): void {
    const groups = new Set<VertexView>();
    for (const vertex of status.vertexes) {
      const started = timestampMs(vertex.started);
      if (started !== undefined) {
        this.#clockOffset ??= this.#now() - started;
        this.#start = Math.min(this.#start ?? started, started);
      }
      if (vertex.progressGroup === undefined) this.#applyVertex(vertex);
      else groups.add(this.#groupOf(vertex, vertex.progressGroup));
    }
    for (const group of groups) this.#refreshGroup(group);
    for (const item of status.statuses) this.#applyStatus(item);
    for (const { vertex, short } of status.warnings) {
      const view = this.#byDigest.get(vertex);
      if (view === undefined) continue;
      view.warnings.push(new TextDecoder().decode(short));
      this.#change(view);
    }
    for (const { vertex, timestamp, stream, msg } of status.logs) {
      const view = this.#byDigest.get(vertex);
      if (view === undefined) continue;
      const at = timestampMs(timestamp) ?? this.daemonNow;
      view.log.append(msg, stream, (at - (view.lastInterval?.start ?? at)) / 1000);
      this.#change(view);
    }
  }

  /** Steps that failed by themselves, with what they wrote last. */
  *failures(): Generator<{ readonly name: string; readonly lines: readonly string[] }> {
    for (const vertex of this.#shown) {
      if (vertex.error !== "" && !vertex.canceled) yield { name: vertex.name, lines: vertex.log.tail };
    }
  }

  #applyVertex(vertex: Vertex): void {
    const view = this.#vertex(vertex.digest);
    const wasStarted = view.started;
    const changed = view.update(vertex);
    if (!wasStarted && view.started) this.#shown.push(view);
    if (changed && view.started) this.#change(view);
  }

  #groupOf(vertex: Vertex, { id, name }: { readonly id: string; readonly name: string }): VertexView {
    let group = this.#groups.get(id);
    if (group === undefined) {
      group = new VertexView(id, this.#options.keepLogLines);
      group.name = name;
      group.hidden = true;
      this.#groups.set(id, group);
    }
    this.#byDigest.set(vertex.digest, group);
    group.members.set(vertex.digest, vertex);
    return group;
  }

  #refreshGroup(group: VertexView): void {
    const { changed, revealed } = group.updateFromMembers();
    if (group.hidden) return;
    if (revealed) this.#shown.push(group);
    if (changed) this.#change(group);
  }

  #applyStatus(status: VertexStatus): void {
    const view = this.#byDigest.get(status.vertex);
    if (view === undefined) return;
    const agent = agentStatus.exec(status.ID)?.[1];
    if (agent === undefined) {
      view.updateStatus(status);
      this.#change(view);
    } else if (view.agent !== agent) {
      view.agent = agent;
      if (view.started) this.#change(view);
    }
  }

  #vertex(digest: string): VertexView {
    let view = this.#byDigest.get(digest);
    if (view === undefined) {
      view = new VertexView(digest, this.#options.keepLogLines);
      this.#byDigest.set(digest, view);
    }
    return view;
  }

  #change(view: VertexView): void {
    view.touch(this.#now());
    this.changed.add(view);
  }
}
