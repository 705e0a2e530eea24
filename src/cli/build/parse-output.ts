import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { BuildOutput } from "../../client/index.ts";
import type { ExportTarget } from "../../client/session/index.ts";
import { csvPairs, parseBool } from "../csv-fields.ts";
import { UsageError } from "../usage-error.ts";

/**
 * One `--output`: `type=image,name=…`, `type=local,dest=dir` and so on (BuildKit cmd/buildctl/build/output.go). As docker has
 * it, a bare directory means `type=local,dest=directory` and `-` means a tar on stdout.
 */
export async function parseOutput(text: string, stdoutIsTerminal = process.stdout.isTTY): Promise<BuildOutput> {
  if (!text.includes("=") && !text.includes(",") && text !== "") {
    return parseOutput(
      text === "-" ? "type=tar,dest=-" : `type=local,"dest=${text.replaceAll('"', '""')}"`,
      stdoutIsTerminal,
    );
  }
  const { type = "", ...attributes } = Object.fromEntries(csvPairs(text)) as Record<string, string>;
  if (type === "") throw new UsageError("--output requires type=<type>");
  if (attributes["output"] !== undefined) {
    throw new UsageError(
      `output=${attributes["output"]} not supported for --output, you meant dest=${attributes["output"]}?`,
    );
  }
  const { dest = "", ...rest } = attributes;
  const target = await exportTarget(type, dest, attributes, stdoutIsTerminal);
  return target === undefined ? { type, attributes } : { type, attributes: rest, target };
}

async function exportTarget(
  type: string,
  dest: string,
  attributes: Readonly<Record<string, string>>,
  stdoutIsTerminal: boolean,
): Promise<ExportTarget | undefined> {
  const archive = type === "oci" || type === "docker";
  if (archive && parseBool(attributes["tar"]) === false) {
    if (dest === "") throw new UsageError(`output directory is required for ${type} exporter: add dest=<dir>`);
    return { kind: "layout", path: resolve(dest) };
  }
  if (type === "local") return directory(dest, attributes["mode"]);
  if (type === "tar" || archive) return file(type, dest, stdoutIsTerminal);
  if (dest !== "") throw new UsageError(`output ${dest} is not supported by ${type} exporter`);
  return undefined;
}

function directory(dest: string, mode: string | undefined): ExportTarget {
  if (dest === "") throw new UsageError("output directory is required for local exporter: add dest=<dir>");
  if (mode !== undefined && !["", "copy", "delete"].includes(mode)) {
    throw new UsageError(`invalid local exporter mode ${JSON.stringify(mode)}: expected copy or delete`);
  }
  return { kind: "directory", path: resolve(dest), deleteOthers: mode === "delete" };
}

async function file(type: string, dest: string, stdoutIsTerminal: boolean): Promise<ExportTarget> {
  if (dest === "" || dest === "-") {
    if (stdoutIsTerminal) {
      throw new UsageError(`output file is required for ${type} exporter. refusing to write to console`);
    }
    return { kind: "stdout" };
  }
  const path = resolve(dest);
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) throw new UsageError(`destination file is a directory: ${dest}`);
  const parent = await stat(resolve(path, "..")).catch(() => undefined);
  if (!parent?.isDirectory()) throw new UsageError(`invalid destination file: ${dest}: no such directory`);
  return { kind: "file", path };
}
