import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { CacheConfig } from "./cache-config.ts";

/**
 * Refuses references that lead out of the lists or round in circles, in time linear to the config's size.
 * @throws BuildError InvalidArgument `invalid looping record`, `invalid record ID: 7`, …
 */
export function checkCacheConfig({ layers, records }: CacheConfig): void {
  checkTree(
    layers.length,
    (place) => [layers[place]?.parent ?? -1].filter((parent) => parent !== -1),
    (place) => `invalid layer index ${place}`,
    "invalid looping layer",
  );
  for (const [place, { inputs, results, chains }] of records.entries()) {
    if (inputs.some((links) => links.length === 0)) throw invalid(`invalid empty input for record ${place}`);
    const used = [...results.map(({ layer }) => layer), ...chains.flatMap((chain) => chain.layers)];
    for (const layer of used) if (layer < 0 || layer >= layers.length) throw invalid(`invalid layer index ${layer}`);
  }
  checkTree(
    records.length,
    (place) => (records[place]?.inputs ?? []).flatMap((links) => links.map(({ link }) => link)),
    (place) => `invalid record ID: ${place}`,
    "invalid looping record",
  );
}

/** Depth first, without recursion: chains may be as long as the config. */
function checkTree(
  count: number,
  below: (place: number) => readonly number[],
  outside: (place: number) => string,
  loop: string,
): void {
  const states = new Uint8Array(count);
  const entered = 1;
  const done = 2;
  for (let start = 0; start < count; start++) {
    const open = [start];
    for (let place = open.at(-1); place !== undefined; place = open.at(-1)) {
      if (states[place] !== 0) {
        states[place] = done;
        open.pop();
        continue;
      }
      states[place] = entered;
      for (const next of below(place)) {
        if (next < 0 || next >= count) throw invalid(outside(next));
        if (states[next] === entered) throw invalid(loop);
        if (states[next] === 0) open.push(next);
      }
    }
  }
}

function invalid(message: string): BuildError {
  return new BuildError(Code.InvalidArgument, message);
}
