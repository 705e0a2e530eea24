import type { Range } from "../../../api/gen/ops.ts";
import type { ArgPair } from "../instructions/index.ts";

export interface ArgInfo {
  readonly value: string;
  readonly definition: ArgPair;
  /** Args its default refers to. */
  readonly deps: ReadonlySet<string>;
  readonly location: readonly Range[];
}

export interface RequestInfo {
  readonly required: boolean;
  readonly location: readonly Range[];
}

/** What a stage can be given from outside, noted while it is converted, for `frontend.outline`. */
export class OutlineCapture {
  readonly args: Map<string, ArgInfo>;
  readonly usedArgs: Set<string>;
  readonly secrets: Map<string, RequestInfo>;
  readonly ssh: Map<string, RequestInfo>;

  constructor(from?: OutlineCapture) {
    this.args = new Map(from?.args);
    this.usedArgs = new Set(from?.usedArgs);
    this.secrets = new Map(from?.secrets);
    this.ssh = new Map(from?.ssh);
  }

  clone(): OutlineCapture {
    return new OutlineCapture(this);
  }

  /** Args that are used, and those their defaults refer to. */
  allUsedArgs(): ReadonlySet<string> {
    const all = new Set<string>();
    const visit = (names: Iterable<string>) => {
      for (const name of names) {
        if (all.has(name)) continue;
        all.add(name);
        visit(this.args.get(name)?.deps ?? []);
      }
    };
    visit(this.usedArgs);
    return all;
  }
}
