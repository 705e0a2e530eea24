import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { ExportContext } from "../../core/seams/exporter.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { ExportRoot } from "../../core/values/task.ts";
import { goJson } from "../../util/go-json.ts";
import { digestSet, type StatementSubject } from "./in-toto-statement.ts";
import { dispatchContext } from "./read-attestation.ts";
import type { NamedStatement } from "./result-attestations.ts";

/** The files of a ref as what its attestations speak of; an agent that has it hashes them. */
export async function fileSubjects(ref: Ref, context: ExportContext): Promise<readonly StatementSubject[]> {
  const { files } = await context.dispatcher.run("list.files", { ref, digests: true }, dispatchContext(context));
  return files.map(({ path, digest = "" }) => ({ name: path, digest: digestSet([digest]) }));
}

/**
 * Statements as files beside the tree: `provenance.json`, `sbom.spdx.json` (map f21; BuildKit exporter/local/fs.go).
 * @param suffix goes before the extension, where platforms share a directory
 * @throws BuildError when two would have one name
 */
export function attestationFiles(
  statements: readonly NamedStatement[],
  prefix: string,
  suffix: string,
): ExportRoot["extra"] {
  const names = new Set<string>();
  return statements.map(({ path, statement }) => {
    const name = prefix + withSuffix(path.split("/").at(-1) ?? path, suffix);
    if (names.has(name)) throw new BuildError(Code.Unknown, `duplicate attestation path name ${name}`);
    names.add(name);
    return { path: name, data: new TextEncoder().encode(goJson(statement, "  ")) };
  });
}

function withSuffix(name: string, suffix: string): string {
  const dot = name.lastIndexOf(".");
  return dot < 0 ? name + suffix : name.slice(0, dot) + suffix + name.slice(dot);
}
