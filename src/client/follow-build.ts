import { BuildHistoryEventType, type BuildHistoryRecord, type StatusResponse } from "../api/gen/control.ts";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { sleep } from "../util/abort.ts";
import type { ControlClient } from "./control-client.ts";
import { isLostConnection } from "./reconnect.ts";

export interface KnownBuild {
  readonly record: BuildHistoryRecord;
  readonly running: boolean;
}

export interface FollowBuildOptions {
  readonly signal: AbortSignal;
  readonly onStatus: (status: StatusResponse) => void;
  /** Told in a line what goes on; after it progress begins anew. */
  readonly onNotice: (text: string) => void;
}

/** A record is written right after the end of the progress. */
const recordWaitMs = 60_000;
/** A client whose coordinator is lost finds another one within this. */
const takeOverMs = 60_000;
const lookEveryMs = 1000;

/** The builds that the history lists, the last to begin first. */
export async function listBuilds(control: ControlClient, signal: AbortSignal): Promise<readonly KnownBuild[]> {
  return knownBuilds(control, "", signal);
}

/**
 * Follows a build, running or ended, from its start to its end.
 * @returns its record, which may be that of a failure
 * @throws BuildError NotFound when there is none, Unavailable when it runs no more and left no record
 */
export async function followBuild(
  control: ControlClient,
  ref: string,
  options: FollowBuildOptions,
): Promise<BuildHistoryRecord> {
  const { signal, onStatus, onNotice } = options;
  let lostAt: number | undefined;
  for (;;) {
    const [build] = await knownBuilds(control, ref, signal);
    if (build === undefined && lostAt === undefined) throw new BuildError(Code.NotFound, `no build ${ref} is known`);
    try {
      if (build !== undefined) {
        for await (const status of control.status(ref, signal)) onStatus(status);
        return build.running ? await recordOf(control, build.record, signal) : build.record;
      }
    } catch (error) {
      if (signal.aborted || isLostConnection(error) || build?.running !== true) throw error;
      if (lostAt === undefined) onNotice(`${BuildError.from(error).message}; waiting for its client to begin it again`);
      lostAt ??= performance.now();
    }
    if (performance.now() - (lostAt ?? 0) > takeOverMs) {
      throw new BuildError(Code.Unavailable, `build ${ref} ended with its coordinator, and nobody has begun it again`);
    }
    await sleep(lookEveryMs, signal);
  }
}

async function knownBuilds(control: ControlClient, ref: string, signal: AbortSignal): Promise<KnownBuild[]> {
  const builds = new Map<string, KnownBuild>();
  // Those that run come first; the record of an earlier request under the same ref says nothing then.
  for await (const { type, record } of control.history({ Ref: ref, EarlyExit: true }, signal)) {
    if (record === undefined || builds.has(record.Ref)) continue;
    builds.set(record.Ref, { record, running: type === BuildHistoryEventType.STARTED });
  }
  return [...builds.values()].sort((a, b) => milliseconds(b.record) - milliseconds(a.record));
}

async function recordOf(
  control: ControlClient,
  started: BuildHistoryRecord,
  signal: AbortSignal,
): Promise<BuildHistoryRecord> {
  const limit = AbortSignal.timeout(recordWaitMs);
  const { Ref } = started;
  try {
    for await (const { type, record } of control.history({ Ref }, AbortSignal.any([signal, limit]))) {
      if (record === undefined || type !== BuildHistoryEventType.COMPLETE) continue;
      // Not that of an earlier request under the same ref; that of a later one when the build was begun again meanwhile.
      if (milliseconds(record) >= milliseconds(started)) return record;
    }
  } catch (error) {
    if (!limit.aborted) throw error;
  }
  throw new BuildError(Code.Unavailable, `build ${Ref} has ended and left no record`);
}

function milliseconds({ CreatedAt }: BuildHistoryRecord): number {
  return Number(CreatedAt?.seconds ?? 0n) * 1000 + (CreatedAt?.nanos ?? 0) / 1e6;
}
