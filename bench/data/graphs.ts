import { Definition } from "../../src/api/gen/ops.ts";
import { FileAction, marshalState, type State, scratch } from "../../src/llb/builder/index.ts";

/** How the vertices of a graph hang together. */
export const graphShapes = ["chain", "wide", "diamond"] as const;
export type GraphShape = (typeof graphShapes)[number];

/** Columns of a diamond: each vertex takes from two of the row below. */
const columns = 10;
/** What one vertex of a wide graph gathers at most. */
const fanIn = 100;

/**
 * A graph of about so many file ops, as `buildctl build` takes it on its standard input. No vertex has more than one layer, since
 * stacks as high as the graph could not be mounted.
 * @param salt in every vertex: graphs of another salt share nothing
 */
export function fileGraph(shape: GraphShape, vertices: number, salt: string): Uint8Array {
  const top = shapes[shape](vertices, salt);
  return Definition.encode(marshalState(top)).finish();
}

/** A file of its own, and one of each source. */
function step(name: string, sources: readonly State[]): State {
  let action = FileAction.none.mkfile("/own", 0o644, name);
  for (const [place, source] of sources.entries()) action = action.copy(source, "/own", `/${place}`);
  return scratch().file(action, { customName: name });
}

const shapes: Readonly<Record<GraphShape, (vertices: number, salt: string) => State>> = {
  chain(vertices, salt) {
    let top = step(`${salt} 0`, []);
    for (let index = 1; index < vertices; index++) top = step(`${salt} ${index}`, [top]);
    return top;
  },

  wide(vertices, salt) {
    const bottom = step(`${salt} bottom`, []);
    const width = vertices - Math.ceil(vertices / fanIn) - 1;
    let row = Array.from({ length: width }, (_, index) => step(`${salt} ${index}`, [bottom]));
    for (let level = 1; row.length > 1; level++) {
      const groups = Array.from({ length: Math.ceil(row.length / fanIn) }, (_, group) =>
        row.slice(group * fanIn, (group + 1) * fanIn),
      );
      row = groups.map((sources, group) => step(`${salt} level ${level} ${group}`, sources));
    }
    return row[0] ?? bottom;
  },

  diamond(vertices, salt) {
    let row = Array.from({ length: columns }, (_, column) => step(`${salt} 0 ${column}`, []));
    for (let level = 1; level * columns < vertices - 1; level++) {
      const below = row;
      row = below.map((source, column) => step(`${salt} ${level} ${column}`, [source, below.at(column - 1) ?? source]));
    }
    return step(`${salt} top`, row);
  },
};
