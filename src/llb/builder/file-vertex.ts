import {
  type ChownOpt,
  type FileActionCopy,
  type Input,
  Op,
  type UserOpt,
  type FileAction as WireAction,
} from "../../api/gen/ops.ts";
import { sha256 } from "../../core/values/digest.ts";
import { type FileAction, type FileOwner, type FileStep, type Ownership, requireSteps } from "./file-action.ts";
import { cleanPath, joinPath } from "./go-path.ts";
import type { State } from "./state.ts";
import { addInput, type MarshalContext, type MarshalledVertex, type Output, type Vertex } from "./vertex.ts";
import { baseOp, type VertexOptions, vertexMetadata } from "./vertex-options.ts";

/** FileOp; it is its own single output (BuildKit client/llb/fileop.go). */
export class FileVertex implements Vertex, Output {
  readonly #base: State;
  readonly #steps: readonly FileStep[];
  readonly #options: VertexOptions;

  constructor(base: State, action: FileAction, options: VertexOptions) {
    requireSteps(action);
    this.#base = base;
    this.#steps = action.steps;
    this.#options = options;
  }

  vertex(): Vertex {
    return this;
  }

  index(): number {
    return 0;
  }

  inputs(): readonly Output[] {
    const sources = this.#steps.map((step) => (step.kind === "copy" ? step.source.output : undefined)).reverse();
    return [this.#base.output, ...sources].filter((output) => output !== undefined);
  }

  marshal(context: MarshalContext): MarshalledVertex {
    const op = baseOp(context, this.#options, false);
    const bound = this.#bindInputs(context, op.inputs);
    const actions = this.#steps.map(
      (step, at): WireAction => ({
        input: at === 0 ? bound.base : op.inputs.length + at - 1,
        secondaryInput: bound.sources[at] ?? -1,
        output: at === this.#steps.length - 1 ? 0 : -1,
        action: wireStep(step, this.#base.dir, bound.base),
      }),
    );
    op.op = { $case: "file", value: { actions } };
    const bytes = Op.encode(op).finish();
    return {
      digest: sha256(bytes),
      bytes,
      metadata: vertexMetadata(this.#options, this.#caps()),
      locations: this.#options.locations ?? [],
    };
  }

  /** Actions other than the first get their input from the one before, but names of owners are always looked up in `base`. */
  #bindInputs(context: MarshalContext, inputs: Input[]): { base: number; sources: number[] } {
    const base = addInput(inputs, context.input(this.#base.output));
    const sources = this.#steps.map((step) =>
      step.kind === "copy" ? addInput(inputs, context.input(step.source.output)) : -1,
    );
    return { base, sources };
  }

  *#caps(): Generator<string> {
    yield "file.base";
  }
}

function wireStep(step: FileStep, dir: string, base: number): WireAction["action"] {
  switch (step.kind) {
    case "mkdir":
      return {
        $case: "mkdir",
        value: {
          path: absolute(dir, step.path),
          mode: step.mode & 0o777,
          makeParents: step.options.makeParents ?? false,
          owner: wireOwnership(step.options.owner, base),
          timestamp: wireTime(step.options.createdTime),
        },
      };
    case "mkfile":
      return {
        $case: "mkfile",
        value: {
          path: absolute(dir, step.path),
          mode: step.mode & 0o777,
          data: step.data,
          owner: wireOwnership(step.options.owner, base),
          timestamp: wireTime(step.options.createdTime),
        },
      };
    case "symlink":
      return {
        $case: "symlink",
        value: {
          oldpath: step.oldPath,
          newpath: step.newPath,
          owner: wireOwnership(step.options.owner, base),
          timestamp: wireTime(step.options.createdTime),
        },
      };
    case "rm":
      return {
        $case: "rm",
        value: {
          path: absolute(dir, step.path),
          allowNotFound: step.options.allowNotFound ?? false,
          allowWildcard: step.options.allowWildcard ?? false,
        },
      };
    case "copy":
      return { $case: "copy", value: wireCopy(step, dir, base) };
  }
}

function wireCopy(step: FileStep & { kind: "copy" }, dir: string, base: number): FileActionCopy {
  const { options } = step;
  const src = cleanPath(step.src);
  return {
    src: src.startsWith("/") ? src : joinPath(step.source.dir, src),
    dest: absolute(dir, step.dest, true),
    owner: wireOwnership(options.owner, base),
    mode: typeof options.mode === "number" ? options.mode : options.mode === undefined ? -1 : 0,
    modeStr: typeof options.mode === "string" ? options.mode : "",
    followSymlink: options.followSymlinks ?? false,
    dirCopyContents: options.contentsOnly ?? false,
    attemptUnpackDockerCompatibility: options.attemptUnpack ?? false,
    createDestPath: options.createDestPath ?? false,
    allowWildcard: options.allowWildcard ?? false,
    allowEmptyWildcard: options.allowEmptyWildcard ?? false,
    timestamp: wireTime(options.createdTime),
    includePatterns: [...(options.includePatterns ?? [])],
    excludePatterns: [...(options.excludePatterns ?? [])],
    requiredPaths: [...(options.requiredPaths ?? [])],
    alwaysReplaceExistingDestPaths: options.alwaysReplaceExisting ?? false,
  };
}

/** Absolute path below `dir`; with `keepSlash` a final `/` or `/.` stays, because it says that a directory is meant. */
function absolute(dir: string, path: string, keepSlash = false): string {
  let result = cleanPath(path);
  if (!result.startsWith("/")) result = joinPath("/", dir, result);
  if (!keepSlash) return result;
  if (path.endsWith("/")) return result.endsWith("/") ? result : `${result}/`;
  if (path.endsWith("/.")) return result === "/" ? "/." : `${result}/.`;
  return result;
}

function wireTime(seconds: number | undefined): bigint {
  return seconds === undefined ? -1n : BigInt(seconds) * 1_000_000_000n;
}

function wireOwnership(owner: Ownership | undefined, base: number): ChownOpt | undefined {
  if (owner === undefined) return undefined;
  return { user: wireOwner(owner.user, base), group: wireOwner(owner.group, base) };
}

function wireOwner(owner: FileOwner | undefined, base: number): UserOpt | undefined {
  if (owner === undefined) return undefined;
  if ("id" in owner) return { user: { $case: "byID", value: owner.id } };
  // An empty name is id 0 on the wire.
  if (owner.name === "") return { user: { $case: "byID", value: 0 } };
  return { user: { $case: "byName", value: { name: owner.name, input: base } } };
}
