import { Stat } from "../../api/gen/fsutil.ts";
import { ReadDirResponse } from "../../api/gen/gateway.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { EvaluatedAttestation, ExportContext } from "../../core/seams/exporter.ts";
import type { DispatchContext } from "../../core/seams/task-dispatcher.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { TaskBody } from "../../core/values/task.ts";

/** A larger document is none that anybody wants in memory (BuildKit exporter/attestation/make.go). */
const maxBytes = 40 << 20;

/** Reads attestations from where they are: made by the coordinator, or files of a ref. */
export class AttestationReader {
  readonly #context: ExportContext;

  constructor(context: ExportContext) {
    this.#context = context;
  }

  /** The predicate of an attestation that is one. @throws BuildError */
  async predicate({ attestation, ref, content }: EvaluatedAttestation): Promise<unknown> {
    if (content !== undefined) return parseJson(await content(), attestation.path);
    if (ref === undefined) throw new BuildError(Code.Unknown, "no available content for attestation");
    try {
      return await this.json(ref, attestation.path);
    } catch (error) {
      throw BuildError.from(error).wrap("cannot read in-toto attestation");
    }
  }

  async json(ref: Ref, path: string): Promise<unknown> {
    const size = Stat.decode(await this.#read({ op: "stat", ref, path })).size;
    if (size > maxBytes) throw new BuildError(Code.Unknown, `${path} exceeds ${maxBytes} bytes`);
    return parseJson(await this.#read({ op: "file", ref, path, offset: 0, length: 0 }), path);
  }

  /** Names in a directory, sorted. */
  async list(ref: Ref, path: string): Promise<readonly string[]> {
    const answer = await this.#read({ op: "dir", ref, path: path === "" ? "/" : path, includePattern: "" });
    return ReadDirResponse.decode(answer).entries.map((entry) => entry.path);
  }

  async #read(body: TaskBody<"read">): Promise<Uint8Array> {
    return (await this.#context.dispatcher.run("read", body, dispatchContext(this.#context))).data;
  }
}

export function dispatchContext({ signal, progress, sessions, traceparent }: ExportContext): DispatchContext {
  return { signal, progress, sessions, ...(traceparent === undefined ? {} : { traceparent }) };
}

function parseJson(bytes: Uint8Array, path: string): unknown {
  if (bytes.length === 0) return null;
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new BuildError(Code.Unknown, `${path}: ${(cause as Error).message}`, { cause });
  }
}
