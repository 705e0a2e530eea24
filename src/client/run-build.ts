import { SolveRequest, type StatusResponse } from "../api/gen/control.ts";
import { SolveRequest as BridgeSolveRequest, type SolveResponse as BridgeSolveResponse } from "../api/gen/gateway.ts";
import { Definition } from "../api/gen/ops.ts";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { Logger } from "../core/seams/logger.ts";
import { FileReceiver, FileSender } from "../filesync/index.ts";
import { errorToStatus } from "../grpc/index.ts";
import type { BuildOutcome, BuildRequest } from "./build-request.ts";
import type { ControlClient } from "./control-client.ts";
import { ClientSession } from "./session/client-session.ts";
import { ExportTargets } from "./session/export-targets.ts";
import { LocalDirectories } from "./session/local-directories.ts";
import type { SessionService } from "./session/session-service.ts";

export interface RunBuildOptions {
  readonly logger: Logger;
  /** Aborting cancels the build in the daemon. */
  readonly signal: AbortSignal;
  readonly onStatus: (status: StatusResponse) => void;
  /** Told where bytes of an output have gone that no second build could take back, before they go. */
  readonly onIrrevocable?: (where: string) => void;
}

/** When the bridge fails, Solve fails too and says more; it gets this long to. */
const solveGraceMs = 5000;
/** A finished build's progress is over once nothing has come for this long. */
const statusIdleMs = 5000;

/**
 * Runs one build the way buildctl does (map a16, i8): session first, progress beside it, and the client asks the bridge for
 * the result and returns it, so that whatever goes wrong comes back from Solve with its typed details.
 * @throws BuildError `failed to solve: …`
 */
export async function runBuild(
  control: ControlClient,
  request: BuildRequest,
  options: RunBuildOptions,
): Promise<BuildOutcome> {
  await using sender = new FileSender();
  await using receiver = new FileReceiver();
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  await using session = new ClientSession(control, {
    services: sessionServices(request, sender, receiver, options.onIrrevocable),
    logger: options.logger,
  });
  session.closed.then(
    () => {},
    (error: unknown) => stop.abort(BuildError.from(error).wrap("session with the daemon was lost")),
  );
  using progress = new ProgressReader(control, request.ref, options.onStatus);
  const solve = control.solve(solveRequest(request, session.id), signal);
  const drive = driveBridge(control, request, signal);
  let grace: NodeJS.Timeout | undefined;
  drive.catch((error: unknown) => {
    // It may come after Solve has failed: then it must not keep the process.
    grace = setTimeout(() => stop.abort(BuildError.from(error)), solveGraceMs).unref();
  });
  try {
    const [solved, driven] = await Promise.allSettled([solve, firstToEnd(drive, solve)]);
    if (solved.status === "rejected") throw betterReason(solved.reason, options.signal, stop.signal);
    if (driven.status === "rejected") throw BuildError.from(driven.reason);
    return {
      exporterResponse: solved.value.ExporterResponse,
      resultMetadata: driven.value?.result?.metadata ?? {},
    };
  } catch (error) {
    throw BuildError.from(error).wrap("failed to solve");
  } finally {
    clearTimeout(grace);
    await progress.finish(options.signal);
  }
}

function sessionServices(
  request: BuildRequest,
  sender: FileSender,
  receiver: FileReceiver,
  onIrrevocable: RunBuildOptions["onIrrevocable"],
): SessionService[] {
  const services = [...request.services];
  if (request.localDirectories.size > 0) services.push(new LocalDirectories(request.localDirectories, sender));
  const targets = new Map(
    request.outputs.flatMap((output, index) => (output.target === undefined ? [] : [[index, output.target] as const])),
  );
  if (targets.size > 0) services.push(new ExportTargets(targets, receiver, onIrrevocable));
  return services;
}

/** Without frontend and definition, Solve waits for what the bridge returns. */
function solveRequest(request: BuildRequest, sessionId: string): SolveRequest {
  const exporters = request.outputs.map(({ type, attributes }) => ({ Type: type, Attrs: { ...attributes } }));
  return SolveRequest.fromPartial({
    Ref: request.ref,
    Session: sessionId,
    FrontendAttrs: frontendOptions(request),
    Exporters: exporters,
    ExporterDeprecated: exporters[0]?.Type ?? "",
    ExporterAttrsDeprecated: exporters[0]?.Attrs ?? {},
    Entitlements: [...request.entitlements],
    ...(request.sourcePolicy === undefined ? {} : { SourcePolicy: request.sourcePolicy }),
    Cache: {
      Exports: request.cacheExports.map(({ type, attributes }) => ({ Type: type, Attrs: { ...attributes } })),
      Imports: cacheImports(request),
    },
  });
}

function cacheImports(request: BuildRequest) {
  return request.cacheImports.map(({ type, attributes }) => ({ Type: type, Attrs: { ...attributes } }));
}

/** Frontends look for cache imports among their options as well. */
function frontendOptions(request: BuildRequest): Record<string, string> {
  const options = { ...request.frontendOptions };
  if (request.cacheImports.length > 0) options["cache-imports"] = JSON.stringify(cacheImports(request));
  return options;
}

async function driveBridge(
  control: ControlClient,
  request: BuildRequest,
  signal: AbortSignal,
): Promise<BridgeSolveResponse> {
  const bridge = control.bridge(request.ref);
  const frontendOpt = frontendOptions(request);
  if (frontendOpt["requestid"] !== undefined) frontendOpt["frontend.caps"] ??= "moby.buildkit.frontend.subrequests";
  let answer: BridgeSolveResponse;
  try {
    answer = await bridge.solve(
      BridgeSolveRequest.fromPartial({
        Frontend: request.frontend ?? "",
        FrontendOpt: frontendOpt,
        ...(request.definition === undefined ? {} : { Definition: Definition.decode(request.definition) }),
        CacheImports: cacheImports(request),
        allowResultReturn: true,
        allowResultArrayRef: true,
      }),
      signal,
    );
  } catch (error) {
    if (!signal.aborted) {
      const reason = BuildError.from(error);
      // The build may be over already, for the same reason.
      await bridge.return({ result: undefined, error: errorToStatus(reason) }, signal).catch(() => {});
    }
    throw error;
  }
  await bridge.return({ result: answer.result, error: undefined }, signal);
  return answer;
}

/** The bridge's outcome; undefined when Solve has ended without it. */
async function firstToEnd(
  drive: Promise<BridgeSolveResponse>,
  solve: Promise<unknown>,
): Promise<BridgeSolveResponse | undefined> {
  drive.catch(() => {});
  const solveFailed = new Promise<undefined>((resolve) => {
    solve.catch(() => resolve(undefined));
  });
  return Promise.race([drive, solveFailed]);
}

function betterReason(error: unknown, user: AbortSignal, session: AbortSignal): unknown {
  if (user.aborted) return new BuildError(Code.Canceled, "context canceled", { cause: error });
  return session.aborted ? session.reason : error;
}

/** Reads the progress of a build beside it. */
class ProgressReader implements Disposable {
  readonly #abort = new AbortController();
  readonly #ended: Promise<void>;
  #lastAt = performance.now();

  constructor(control: ControlClient, ref: string, onStatus: (status: StatusResponse) => void) {
    this.#ended = this.#read(control, ref, onStatus);
  }

  /** Waits until the daemon has said all, or has been silent for a while, or the user has had enough. */
  async finish(user: AbortSignal): Promise<void> {
    this.#lastAt = performance.now();
    const timer = setInterval(() => {
      if (performance.now() - this.#lastAt >= statusIdleMs || user.aborted) this.#abort.abort();
    }, 100);
    try {
      await this.#ended;
    } finally {
      clearInterval(timer);
    }
  }

  [Symbol.dispose](): void {
    this.#abort.abort();
  }

  async #read(control: ControlClient, ref: string, onStatus: (status: StatusResponse) => void): Promise<void> {
    try {
      // From here on the ref is this build's, and not that of an earlier one in the history.
      await control.bridge(ref).ping(this.#abort.signal);
      for await (const status of control.status(ref, this.#abort.signal)) {
        this.#lastAt = performance.now();
        onStatus(status);
      }
    } catch {
      // Progress that cannot be shown is no reason to fail a build; a lost connection fails Solve as well.
    }
  }
}
