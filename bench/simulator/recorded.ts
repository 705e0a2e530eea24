import type { SimulatedVertex, Workload } from "./graph.ts";

/** Bytes a step is taken to add: recordings do not tell. */
const outputBytes = 20e6;

interface RecordedVertex {
  readonly digest: string;
  readonly inputs?: readonly string[];
  readonly started?: string;
  readonly completed?: string;
  readonly cached?: boolean;
}

/**
 * The graph of a build that was watched with `--progress=rawjson` (a SolveStatus a line): durations are those of that run, cached
 * steps take no time.
 * @throws Error for a line that is no JSON
 */
export function recordedWorkload(name: string, text: string): Workload {
  const latest = new Map<string, RecordedVertex>();
  for (const line of text.split("\n")) {
    if (!line.trimStart().startsWith("{")) continue;
    const { vertexes = [] } = JSON.parse(line) as { vertexes?: readonly RecordedVertex[] };
    for (const vertex of vertexes) latest.set(vertex.digest, { ...latest.get(vertex.digest), ...vertex });
  }
  const vertices: SimulatedVertex[] = [];
  const done = new Set<string>();
  const visit = (digest: string): void => {
    const vertex = latest.get(digest);
    if (vertex === undefined || done.has(digest)) return;
    done.add(digest);
    const inputs = (vertex.inputs ?? []).filter((input) => latest.has(input));
    for (const input of inputs) visit(input);
    const seconds = (Date.parse(vertex.completed ?? "") - Date.parse(vertex.started ?? "")) / 1000;
    const ran = !vertex.cached && Number.isFinite(seconds);
    vertices.push({
      id: digest,
      inputs,
      seconds: ran ? Math.max(seconds, 0) : 0,
      outputBytes: ran ? outputBytes : 0,
      cores: 1,
      memoryBytes: 1e9,
    });
  };
  for (const digest of latest.keys()) visit(digest);
  if (vertices.length === 0) throw new Error(`${name} names no vertex: record a build with --progress=rawjson`);
  return {
    name,
    about: "a recorded build",
    builds: [{ id: name, tenant: "one", priority: 0, arrival: 0, vertices }],
  };
}
