import { isDeepStrictEqual } from "node:util";
import { BuildHistoryRecord } from "../../api/gen/control.ts";
import { subjects } from "../../bus/index.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import { decode, encode } from "../../util/msgpack.ts";
import type { ProgressSource } from "./running-logs.ts";

const announceEveryMs = 5000;
/** Three missed announcements. */
const lostAfterMs = 15_000;

/** `record` is absent once the build has ended. */
interface Announcement {
  readonly coordinatorId: string;
  readonly ref: string;
  readonly record?: Uint8Array;
}

interface OwnBuild {
  readonly record: BuildHistoryRecord;
  readonly progress: ProgressSource;
}

interface OthersBuild {
  readonly coordinatorId: string;
  readonly record: BuildHistoryRecord;
  readonly heardAt: number;
}

export interface ActiveBuildsOptions {
  readonly coordinatorId: string;
  readonly bus: MessageBus;
  readonly clock: Clock;
  /** A build has begun, here or at another coordinator. */
  readonly onStarted: (record: BuildHistoryRecord) => void;
}

/**
 * Builds that run now, here and at the other coordinators. Soft state on the bus: what a lost coordinator announced is
 * forgotten after a while, and a new one asks.
 */
export class ActiveBuilds implements Disposable {
  readonly #options: ActiveBuildsOptions;
  readonly #own = new Map<string, OwnBuild>();
  readonly #others = new Map<string, OthersBuild>();
  readonly #subscriptions: readonly Disposable[];
  readonly #timer: NodeJS.Timeout;

  constructor(options: ActiveBuildsOptions) {
    this.#options = options;
    this.#subscriptions = [
      options.bus.subscribe(subjects.activeBuilds, ({ data }) => this.#hear(decode<Announcement>(data))),
      options.bus.subscribe(subjects.activeBuildsWanted, () => this.#announce()),
    ];
    this.#timer = setInterval(() => this.#tick(), announceEveryMs);
    this.#timer.unref();
    options.bus.publish(subjects.activeBuildsWanted, new Uint8Array());
  }

  all(): BuildHistoryRecord[] {
    return [...this.#own.values(), ...this.#others.values()].map(({ record }) => record);
  }

  /** Progress of a build that runs here. */
  progress(ref: string): ProgressSource | undefined {
    return this.#own.get(ref)?.progress;
  }

  /** The other coordinator that a build runs at. */
  ownerOf(ref: string): string | undefined {
    return this.#own.has(ref) ? undefined : this.#others.get(ref)?.coordinatorId;
  }

  start(record: BuildHistoryRecord, progress: ProgressSource): void {
    this.#own.set(record.Ref, { record, progress });
    this.#publish(record.Ref, record);
    this.#options.onStarted(record);
  }

  /** A build here has ended. */
  end(ref: string): void {
    if (this.#own.delete(ref)) this.#publish(ref, undefined);
  }

  /** There is the record of a build that has ended; one that its client began again under the same ref goes on. */
  ended({ Ref, CreatedAt }: BuildHistoryRecord): void {
    const other = this.#others.get(Ref);
    if (isDeepStrictEqual(other?.record.CreatedAt, CreatedAt)) this.#others.delete(Ref);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
  }

  #hear({ coordinatorId, ref, record }: Announcement): void {
    if (coordinatorId === this.#options.coordinatorId) return;
    const known = this.#others.get(ref);
    if (record === undefined) {
      if (known?.coordinatorId === coordinatorId) this.#others.delete(ref);
      return;
    }
    const isNew = known?.coordinatorId !== coordinatorId;
    const heard = BuildHistoryRecord.decode(record);
    this.#others.set(ref, { coordinatorId, record: heard, heardAt: this.#options.clock.now() });
    if (isNew) this.#options.onStarted(heard);
  }

  #tick(): void {
    const lost = this.#options.clock.now() - lostAfterMs;
    for (const [ref, { heardAt }] of this.#others) if (heardAt < lost) this.#others.delete(ref);
    this.#announce();
  }

  #announce(): void {
    for (const [ref, { record }] of this.#own) this.#publish(ref, record);
  }

  #publish(ref: string, record: BuildHistoryRecord | undefined): void {
    const { bus, coordinatorId } = this.#options;
    const encoded = record === undefined ? {} : { record: BuildHistoryRecord.encode(record).finish() };
    bus.publish(subjects.activeBuilds, encode({ coordinatorId, ref, ...encoded } satisfies Announcement));
  }
}
