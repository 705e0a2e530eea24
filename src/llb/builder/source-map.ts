import type { Definition, Range, Source } from "../../api/gen/ops.ts";

/** A source file which vertices can point into. */
export interface SourceMap {
  readonly filename: string;
  /** Linguist name, e.g. `Dockerfile`. */
  readonly language: string;
  readonly data: Uint8Array;
  /** LLB that yields the file. */
  readonly definition?: Definition;
}

/** Lines of a source file that gave rise to a vertex. */
export interface SourceLocation {
  readonly sourceMap: SourceMap;
  readonly ranges: readonly Range[];
}

/** Gathers the locations of a definition's vertices into `pb.Source` (BuildKit client/llb/sourcemap.go). */
export class SourceMapCollector {
  readonly #maps: SourceMap[] = [];
  readonly #locations = new Map<string, SourceLocation[]>();

  add(digest: string, locations: readonly SourceLocation[]): void {
    const known = this.#locations.get(digest) ?? [];
    known.push(...locations);
    this.#locations.set(digest, known);
    for (const { sourceMap } of locations) {
      if (this.#indexOf(sourceMap) < 0) this.#maps.push(sourceMap);
    }
  }

  toSource(): Source {
    const locations: Source["locations"] = {};
    for (const digest of [...this.#locations.keys()].sort()) {
      locations[digest] = {
        locations: (this.#locations.get(digest) ?? []).map(({ sourceMap, ranges }) => ({
          sourceIndex: this.#indexOf(sourceMap),
          ranges: [...ranges],
        })),
      };
    }
    const infos = this.#maps.map(({ filename, language, data, definition }) => ({
      filename,
      language,
      data,
      definition,
    }));
    return { locations, infos };
  }

  #indexOf(wanted: SourceMap): number {
    return this.#maps.findIndex((known) => known === wanted || sameSource(known, wanted));
  }
}

function sameSource(a: SourceMap, b: SourceMap): boolean {
  if (a.filename !== b.filename || a.language !== b.language || Buffer.compare(a.data, b.data) !== 0) return false;
  const headA = a.definition?.def.at(-1);
  const headB = b.definition?.def.at(-1);
  return headA === undefined || headB === undefined || Buffer.compare(headA, headB) === 0;
}
