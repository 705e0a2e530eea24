import { createReadStream } from "node:fs";
import type { Command } from "commander";
import { Definition, type FileAction, Op, type OpMetadata } from "../../../api/gen/ops.ts";
import { messageJson, opJson } from "../../../coordinator/provenance/index.ts";
import { sha256 } from "../../../core/values/digest.ts";
import { goJson } from "../../../util/go-json.ts";
import { readDefinition } from "../../build/read-definition.ts";
import type { CliContext } from "../../context.ts";

interface DumpedOp {
  readonly op: Op;
  readonly digest: string;
  readonly metadata: OpMetadata | undefined;
}

/** `buildctl debug dump-llb`: the ops of a definition as JSON, one a line, or as a graph for dot. Needs no daemon. */
export function defineDumpLlbCommand(command: Command, { stdin, stdout }: CliContext): void {
  command.argument("[file]", "a serialized definition; - for stdin", "-");
  command.option("--dot", "as a graph for dot");
  command.action(async (file: string, { dot }: { readonly dot?: boolean }) => {
    const bytes = await readDefinition(file === "-" ? stdin : createReadStream(file), false);
    const { def, metadata } = Definition.decode(bytes);
    const ops = def.map((encoded): DumpedOp => {
      const digest = sha256(encoded);
      return { op: Op.decode(encoded), digest, metadata: metadata[digest] };
    });
    stdout.write(dot ? graph(ops) : ops.map((op) => `${goJson(dumped(op))}\n`).join(""));
  });
}

function dumped({ op, digest, metadata }: DumpedOp): object {
  const inputs = op.inputs.map(messageJson);
  return {
    Op: { ...(inputs.length === 0 ? {} : { inputs }), ...opJson(op) },
    Digest: digest,
    OpMetadata: metadata === undefined ? {} : metadataJson(metadata),
  };
}

function metadataJson({ description, caps, ...metadata }: OpMetadata): object {
  const { ignoreCache, ...others } = messageJson(metadata);
  return {
    ...(ignoreCache === undefined ? {} : { ignore_cache: ignoreCache }),
    ...mapJson("description", description),
    ...(others["exportCache"] === undefined ? {} : { export_cache: others["exportCache"] }),
    ...mapJson("caps", caps),
    ...(others["progressGroup"] === undefined ? {} : { progress_group: others["progressGroup"] }),
    ...(others["linuxResources"] === undefined ? {} : { linux_resources: others["linuxResources"] }),
  };
}

function mapJson(name: string, map: Readonly<Record<string, unknown>>): object {
  const entries = Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.length === 0 ? {} : { [name]: Object.fromEntries(entries) };
}

function graph(ops: readonly DumpedOp[]): string {
  const nodes = ops.map(({ op, digest }) => {
    const { label, shape } = nodeOf(op, digest);
    return `  ${quoted(digest)} [label=${quoted(label)} shape=${quoted(shape)}];\n`;
  });
  const edges = ops.flatMap(({ op, digest }) =>
    op.inputs.map(
      (input, index) => `  ${quoted(input.digest)} -> ${quoted(digest)} [label=${quoted(mountOf(op, index))}];\n`,
    ),
  );
  return `digraph {\n${nodes.join("")}${edges.join("")}}\n`;
}

/** As Go quotes it, but for characters that cannot be printed. */
function quoted(text: string): string {
  return JSON.stringify(text);
}

/** Where a step has one of its inputs, unless it is its root. */
function mountOf({ op }: Op, input: number): string {
  if (op?.$case !== "exec") return "";
  return op.value.mounts.findLast((mount) => Number(mount.input) === input && mount.dest !== "/")?.dest ?? "";
}

function nodeOf({ op }: Op, digest: string): { readonly label: string; readonly shape: string } {
  switch (op?.$case) {
    case "source":
      return { label: op.value.identifier, shape: "ellipse" };
    case "exec":
      return { label: op.value.meta?.args.join(" ") ?? "", shape: "box" };
    case "build":
      return { label: "build", shape: "box3d" };
    case "merge":
      return { label: "merge", shape: "invtriangle" };
    case "diff":
      return { label: "diff", shape: "doublecircle" };
    case "file":
      return { label: op.value.actions.map(actionText).join(","), shape: "note" };
    default:
      return { label: digest, shape: "plaintext" };
  }
}

function actionText({ action }: FileAction): string {
  if (action === undefined) return "";
  switch (action.$case) {
    case "copy":
      return `copy{src=${action.value.src}, dest=${action.value.dest}}`;
    case "symlink":
      return `symlink{oldpath=${action.value.oldpath}, newpath=${action.value.newpath}}`;
    default:
      return `${action.$case}{path=${action.value.path}}`;
  }
}
