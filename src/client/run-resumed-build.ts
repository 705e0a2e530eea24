import { BuildError } from "../core/errors/build-error.ts";
import type { BuildOutcome, BuildRequest } from "./build-request.ts";
import { ControlClient } from "./control-client.ts";
import { type ReconnectOptions, withReconnects } from "./reconnect.ts";
import { type RunBuildOptions, runBuild } from "./run-build.ts";

/** After a notice progress begins anew. */
export type ResumedBuildOptions = Omit<RunBuildOptions, "onIrrevocable"> &
  Pick<ReconnectOptions, "connect" | "onNotice" | "clock">;

/**
 * Runs one build to its end over as many connections as it takes (ADR-0018). After a loss the same request is made again under
 * the same ref; steps that had completed are in the fleet's cache. Never after the build's own failure, and not when bytes of
 * an output have gone where they cannot be taken back.
 * @throws BuildError `failed to solve: …`
 */
export async function runResumedBuild(request: BuildRequest, options: ResumedBuildOptions): Promise<BuildOutcome> {
  const taken = `job ID ${request.ref} exists`;
  let irrevocable: string | undefined;
  let requests = 0;
  const run = async (control: ControlClient) => {
    try {
      requests++;
      return await runBuild(control, request, { ...options, onIrrevocable: (where) => (irrevocable = where) });
    } catch (thrown) {
      const error = BuildError.from(thrown);
      if (irrevocable === undefined || !error.infrastructure) throw error;
      throw error.final().wrap(`cannot build again, for output has been written to ${irrevocable} already`);
    }
  };
  return withReconnects(
    {
      ...options,
      // The coordinator lives and has yet to notice that we were gone.
      passes: (error) => requests > 1 && error instanceof BuildError && error.message.endsWith(taken),
    },
    (client) => run(new ControlClient(client)),
  );
}
