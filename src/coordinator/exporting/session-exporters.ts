import { FinalizeExportRequest, FindExportersRequest, FindExportersResponse } from "../../api/gen/exporter.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { SessionGroup } from "../../core/seams/session-caller.ts";
import { unaryCall } from "../../session-services/index.ts";

const service = "/moby.exporter.v1.Exporter";

/** What a client's session decides about the export of its build (BuildKit solver/llbsolver/export.go). */
export class SessionExporters {
  readonly #sessions: SessionGroup;
  readonly #sessionId: string;

  constructor(sessions: SessionGroup, sessionId: string) {
    this.#sessions = sessions;
    this.#sessionId = sessionId;
  }

  /**
   * Exporters besides those of the request, now that the result is there to look at.
   * @param refIds of the result, by which the client can read it
   */
  async find(
    metadata: ReadonlyMap<string, Uint8Array>,
    refIds: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly { readonly type: string; readonly attrs: Readonly<Record<string, string>> }[]> {
    const request = { metadata: Object.fromEntries(metadata), refs: [...refIds] };
    const answer = await this.#call("FindExporters", FindExportersRequest.encode(request).finish(), signal);
    if (answer === undefined) return [];
    return FindExportersResponse.decode(answer).exporters.map(({ Type, Attrs }) => ({ type: Type, attrs: Attrs }));
  }

  /** Tells the client that everything is exported; what it says against it fails the build. */
  async finalize(response: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
    const request = { exporterResponse: { ...response } };
    await this.#call("FinalizeExport", FinalizeExportRequest.encode(request).finish(), signal);
  }

  /** @returns undefined when the client has no opinion */
  async #call(method: string, request: Uint8Array, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const caller = await this.#sessions.get(this.#sessionId, { signal });
    try {
      return await unaryCall(caller, `${service}/${method}`, request, { signal });
    } catch (error) {
      const silent =
        error instanceof BuildError && (error.code === Code.Unavailable || error.code === Code.Unimplemented);
      if (silent && !signal.aborted) return undefined;
      throw error;
    }
  }
}
