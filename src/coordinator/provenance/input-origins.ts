import { type Definition, Op } from "../../api/gen/ops.ts";
import { sortKeys } from "../../exporters/index.ts";
import type { RequestProvenance } from "./request-provenance.ts";

/**
 * Which request a definition is the answer to, while the build lives that made it: when it becomes an input of another
 * frontend, that one's provenance tells (BuildKit solver/llbsolver/provenance_store.go).
 */
export class InputOrigins {
  readonly #byHead = new Map<string, Set<RequestProvenance>>();

  /** @returns dispose to forget it */
  register(definition: Definition, request: RequestProvenance): Disposable {
    const head = headOf(definition);
    if (head === undefined) return { [Symbol.dispose]: () => {} };
    const known = this.#byHead.get(head) ?? new Set();
    this.#byHead.set(head, known);
    const own = withoutRoot(request);
    known.add(own);
    return {
      [Symbol.dispose]: () => {
        known.delete(own);
        if (known.size === 0 && this.#byHead.get(head) === known) this.#byHead.delete(head);
      },
    };
  }

  /** Undefined when nobody made it, or several did and differ. */
  find(definition: Definition): RequestProvenance | undefined {
    const head = headOf(definition);
    const [first, ...others] = head === undefined ? [] : (this.#byHead.get(head) ?? []);
    if (first === undefined) return undefined;
    return others.every((other) => sameRequest(other, first)) ? first : undefined;
  }
}

export function sameRequest(a: RequestProvenance, b: RequestProvenance): boolean {
  return JSON.stringify(sortKeys(a)) === JSON.stringify(sortKeys(b));
}

function withoutRoot({ configSource, request: { root: _, ...request } }: RequestProvenance): RequestProvenance {
  return { configSource, request };
}

/** The vertex a definition points to. */
function headOf(definition: Definition): string | undefined {
  const last = definition.def.at(-1);
  return last === undefined ? undefined : Op.decode(last).inputs[0]?.digest;
}
