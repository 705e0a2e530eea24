import { type Definition, Op } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { type Digest, sha256 } from "../../core/values/digest.ts";
import { inputsFirst } from "../../util/inputs-first.ts";
import { opJson } from "./op-json.ts";

export interface BuildStep {
  readonly id: string;
  readonly op: object;
  readonly inputs?: readonly string[];
}

/** A definition as provenance shows it: every step after its inputs, under short names. */
export interface BuildConfig {
  readonly llbDefinition?: readonly BuildStep[];
  /** Step by op digest. */
  readonly digestMapping?: Readonly<Record<string, string>>;
}

/** They change with every build. */
const sessionAttributes = new Set(["local.session", "local.unique"]);

/** The steps of a definition (BuildKit solver/llbsolver/provenance/buildconfig.go). Empty for scratch. */
export class BuildSteps {
  readonly #order: readonly Digest[];
  readonly #ops: ReadonlyMap<string, Op>;
  readonly #ids: ReadonlyMap<string, string>;

  constructor(definition: Definition | undefined) {
    const ops = new Map<string, Op>();
    let last: Digest | undefined;
    for (const bytes of definition?.def ?? []) {
      last = sha256(bytes);
      ops.set(last, Op.decode(bytes));
    }
    this.#ops = ops;
    this.#order = last === undefined ? [] : [...inputsFirst(last, (digest) => inputDigests(ops, digest))];
    this.#ids = new Map(this.#order.map((digest, index) => [digest, `step${index}`]));
  }

  /** `step4`; undefined for what is no step. */
  idOf(digest: string): string | undefined {
    return this.#ids.get(digest);
  }

  get config(): BuildConfig {
    if (this.#order.length === 0) return {};
    return {
      llbDefinition: this.#order.map((digest) => this.#step(digest)),
      digestMapping: Object.fromEntries([...this.#ids].sort(([a], [b]) => (a < b ? -1 : 1))),
    };
  }

  #step(digest: Digest): BuildStep {
    const op = opOf(this.#ops, digest);
    const inputs = op.inputs.map((input) => `${this.#ids.get(input.digest)}:${input.index}`);
    return {
      id: this.#ids.get(digest) ?? "",
      op: opJson(withoutSession(op)),
      ...(inputs.length === 0 ? {} : { inputs }),
    };
  }
}

function withoutSession(op: Op): Op {
  if (op.op?.$case !== "source") return op;
  const { value } = op.op;
  const attrs = Object.fromEntries(Object.entries(value.attrs).filter(([key]) => !sessionAttributes.has(key)));
  return { ...op, op: { $case: "source", value: { ...value, attrs } } };
}

function opOf(ops: ReadonlyMap<string, Op>, digest: string): Op {
  const op = ops.get(digest);
  if (op === undefined) throw new BuildError(Code.Unknown, `failed to find input ${digest}`);
  return op;
}

function inputDigests(ops: ReadonlyMap<string, Op>, digest: Digest): readonly Digest[] {
  return opOf(ops, digest).inputs.map((input) => input.digest as Digest);
}
