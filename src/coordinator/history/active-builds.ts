import { BuildHistoryRecord } from "../../api/gen/control.ts";
import { subjects } from "../../bus/index.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import { decode, encode } from "../../util/msgpack.ts";

const announceEveryMs = 5000;
/** Three missed announcements. */
const lostAfterMs = 15_000;

/** `record` is absent once the build has ended. */
interface Announcement {
  readonly coordinatorId: string;
  readonly ref: string;
  readonly record?: Uint8Array;
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
  readonly #own = new Map<string, BuildHistoryRecord>();
  readonly #others = new Map<string, { readonly record: BuildHistoryRecord; readonly heardAt: number }>();
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
    return [...this.#own.values(), ...[...this.#others.values()].map(({ record }) => record)];
  }

  start(record: BuildHistoryRecord): void {
    this.#own.set(record.Ref, record);
    this.#publish(record.Ref, record);
    this.#options.onStarted(record);
  }

  /** The build has ended, here or elsewhere. */
  end(ref: string): void {
    this.#others.delete(ref);
    if (this.#own.delete(ref)) this.#publish(ref, undefined);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
  }

  #hear({ coordinatorId, ref, record }: Announcement): void {
    if (coordinatorId === this.#options.coordinatorId) return;
    if (record === undefined) {
      this.#others.delete(ref);
      return;
    }
    const isNew = !this.#others.has(ref);
    const heard = BuildHistoryRecord.decode(record);
    this.#others.set(ref, { record: heard, heardAt: this.#options.clock.now() });
    if (isNew) this.#options.onStarted(heard);
  }

  #tick(): void {
    const lost = this.#options.clock.now() - lostAfterMs;
    for (const [ref, { heardAt }] of this.#others) if (heardAt < lost) this.#others.delete(ref);
    this.#announce();
  }

  #announce(): void {
    for (const [ref, record] of this.#own) this.#publish(ref, record);
  }

  #publish(ref: string, record: BuildHistoryRecord | undefined): void {
    const { bus, coordinatorId } = this.#options;
    const encoded = record === undefined ? {} : { record: BuildHistoryRecord.encode(record).finish() };
    bus.publish(subjects.activeBuilds, encode({ coordinatorId, ref, ...encoded } satisfies Announcement));
  }
}
