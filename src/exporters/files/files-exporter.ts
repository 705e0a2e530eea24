import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type {
  ExportContext,
  Exporter,
  ExporterInstance,
  ExportOutcome,
  ExportSource,
} from "../../core/seams/exporter.ts";
import { parseBool } from "../../core/values/export-attributes.ts";
import { scratchRef } from "../../core/values/layer.ts";
import type { ExportRoot } from "../../core/values/task.ts";
import { attestationFiles, fileSubjects } from "../attestation/attestation-files.ts";
import { ResultAttestations } from "../attestation/result-attestations.ts";
import { type EpochChoice, epochFor, parseEpoch } from "../attributes.ts";
import { isMultiRef, resultPlatforms } from "../result-platforms.ts";

interface Options {
  readonly epoch: EpochChoice;
  /** undefined: split when the result has several platforms */
  readonly platformSplit: boolean | undefined;
  /** One transfer which lets the client delete what is not in it. */
  readonly deleteOthers: boolean;
  /** In front of the names of attestation files. */
  readonly attestationPrefix: string;
}

/** `type=local` and `type=tar`: the files of the result, to a client directory or as one tar stream (map f5). */
export class FilesExporter implements Exporter {
  readonly type: "local" | "tar";

  constructor(type: "local" | "tar") {
    this.type = type;
  }

  resolve(attrs: Readonly<Record<string, string>>, exporterId: number): ExporterInstance {
    let epoch: EpochChoice = { explicit: false };
    const epochText = attrs["source-date-epoch"];
    if (epochText !== undefined) {
      const seconds = parseEpoch("source-date-epoch", epochText);
      epoch = { explicit: true, ...(seconds === undefined ? {} : { seconds }) };
    }
    const split = attrs["platform-split"];
    const mode = this.type === "local" ? (attrs["mode"] ?? "") : "";
    if (!["", "copy", "delete"].includes(mode)) {
      throw new BuildError(Code.Unknown, `invalid local exporter mode ${JSON.stringify(mode)}`);
    }
    return new FilesExporterInstance(this.type, exporterId, {
      epoch,
      platformSplit: split === undefined ? undefined : parseBool("platform-split", split),
      deleteOthers: mode === "delete",
      attestationPrefix: attrs["attestation-prefix"] ?? "",
    });
  }
}

class FilesExporterInstance implements ExporterInstance {
  readonly name: string;
  readonly #type: "local" | "tar";
  readonly #exporterId: number;
  readonly #options: Options;

  constructor(type: "local" | "tar", exporterId: number, options: Options) {
    this.name = type === "local" ? "exporting to client directory" : "exporting to client tarball";
    this.#type = type;
    this.#exporterId = exporterId;
    this.#options = options;
  }

  async export(source: ExportSource, context: ExportContext): Promise<ExportOutcome> {
    // A tar is split when there is something to split, whatever is asked for.
    const split = this.#type === "tar" ? isMultiRef(source) : (this.#options.platformSplit ?? isMultiRef(source));
    const attestations = new ResultAttestations(source, context);
    const roots = await Promise.all(
      resultPlatforms(source).map(async ({ id, ref = scratchRef }): Promise<ExportRoot & { readonly id: string }> => {
        const statements = await attestations.statements(id, false, () => fileSubjects(ref, context));
        const suffix = isMultiRef(source) && !split ? `.${id.replaceAll("/", "_")}` : "";
        return {
          id,
          ref,
          prefix: split ? id.replaceAll("/", "_") : "",
          extra: attestationFiles(statements, this.#options.attestationPrefix, suffix),
        };
      }),
    );
    // Platforms go one after another, each in a transfer of its own, unless the client must see all at once.
    const together = this.#type === "tar" || this.#options.deleteOthers || !split;
    const transfers = together ? [roots] : roots.map((root) => [root]);
    for (const transfer of transfers) await this.#send(transfer, source, context);
    return { response: {} };
  }

  async #send(
    roots: readonly (ExportRoot & { readonly id: string })[],
    source: ExportSource,
    context: ExportContext,
  ): Promise<void> {
    const epoch = epochFor(this.#options.epoch, source.metadata, roots[0]?.id);
    const { dispatcher, signal, progress, sessions, sessionId, traceparent } = context;
    await dispatcher.run(
      "export.files",
      {
        sessionId,
        exporterId: this.#exporterId,
        metadata: {},
        form: this.#type === "tar" ? "tar" : "directory",
        multiPlatform: this.#options.deleteOthers,
        roots: roots.map(({ ref, prefix, extra }) => ({ ref, prefix, extra })),
        ...(epoch === undefined ? {} : { epoch }),
      },
      { signal, progress, sessions, ...(traceparent === undefined ? {} : { traceparent }) },
    );
  }
}
