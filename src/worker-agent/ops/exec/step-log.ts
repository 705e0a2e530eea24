import type { ProgressWriter } from "../../../core/seams/progress.ts";
import { SecretMask } from "./secret-mask.ts";

/** Per stream; -1 is unlimited. */
export interface StepLogLimits {
  readonly maxBytes: number;
  readonly maxBytesPerSecond: number;
}

const defaultLimits: StepLogLimits = { maxBytes: 2 << 20, maxBytesPerSecond: 200 << 10 };

/** Of what is clipped, so much is kept, and shown after all when the step fails. */
const keptBytes = 256 << 10;

/** BUILDKIT_STEP_LOG_MAX_SIZE and BUILDKIT_STEP_LOG_MAX_SPEED, as BuildKit reads them (util/progress/logs). */
export function stepLogLimits(env: Readonly<Record<string, string | undefined>>): StepLogLimits {
  return {
    maxBytes: integer(env["BUILDKIT_STEP_LOG_MAX_SIZE"]) ?? defaultLimits.maxBytes,
    maxBytesPerSecond: integer(env["BUILDKIT_STEP_LOG_MAX_SPEED"]) ?? defaultLimits.maxBytesPerSecond,
  };
}

export interface StepLogOptions {
  readonly limits?: StepLogLimits;
  readonly secrets?: readonly Uint8Array[];
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
}

/** One output stream of a step on its way to the build's log: secrets masked, clipped where it grows too long or too fast. */
export class StepLog {
  readonly #progress: ProgressWriter;
  readonly #stream: 1 | 2;
  readonly #limits: StepLogLimits;
  readonly #now: () => number;
  readonly #startedAt: number;
  readonly #mask: SecretMask;
  #size = 0;
  #clipping = false;
  #kept: KeptTail | undefined;

  constructor(progress: ProgressWriter, stream: 1 | 2, options: StepLogOptions = {}) {
    this.#progress = progress;
    this.#stream = stream;
    this.#limits = options.limits ?? defaultLimits;
    this.#now = options.now ?? (() => performance.now());
    this.#startedAt = this.#now();
    this.#mask = new SecretMask(options.secrets ?? []);
  }

  write(data: Uint8Array): void {
    this.#clip(this.#mask.add(data));
  }

  /** @param failed show the end of what was clipped */
  end(failed: boolean): void {
    this.#clip(this.#mask.end());
    const kept = this.#kept?.take();
    if (failed && kept !== undefined) this.#log(kept);
    this.#kept = undefined;
  }

  #clip(data: Uint8Array): void {
    if (data.length === 0) return;
    const { room, reason } = this.#room();
    this.#size += data.length;
    const shown = Math.min(room, data.length);
    const clipped = shown < data.length;
    if (clipped) this.#kept ??= new KeptTail(keptBytes);
    this.#kept?.add(data);
    this.#log(data.subarray(0, shown));
    if (clipped && !this.#clipping) {
      this.#log(Buffer.from(`\n[output clipped, log limit ${reason} reached]\n`));
    }
    this.#clipping = clipped;
  }

  /** Bytes that may be shown now, and the limit which says so. */
  #room(): { readonly room: number; readonly reason: string } {
    const { maxBytes, maxBytesPerSecond } = this.#limits;
    const bySize = maxBytes === -1 ? Number.POSITIVE_INFINITY : maxBytes;
    const seconds = Math.ceil((this.#now() - this.#startedAt) / 1000);
    const bySpeed = maxBytesPerSecond === -1 ? Number.POSITIVE_INFINITY : Math.max(1, seconds) * maxBytesPerSecond;
    return {
      room: Math.max(0, Math.min(bySize, bySpeed) - this.#size),
      reason: bySpeed <= bySize ? `${binaryBytes(maxBytesPerSecond)}/s` : binaryBytes(maxBytes),
    };
  }

  #log(data: Uint8Array): void {
    if (data.length > 0) this.#progress.log(this.#stream, data);
  }
}

/** The last bytes of a stream. */
class KeptTail {
  readonly #limit: number;
  #chunks: Uint8Array[] = [];
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(data: Uint8Array): void {
    this.#chunks.push(data);
    this.#size += data.length;
    // Cut rarely, so that a long log of short lines is not copied again and again.
    if (this.#size > 4 * this.#limit || this.#chunks.length > 4096) this.#chunks = [this.take()];
  }

  take(): Uint8Array {
    const all = Buffer.concat(this.#chunks);
    const tail = Buffer.from(all.subarray(Math.max(0, all.length - this.#limit)));
    this.#size = tail.length;
    return tail;
  }
}

function integer(text: string | undefined): number | undefined {
  if (text === undefined || !/^[+-]?\d+$/.test(text)) return undefined;
  const value = Number(text);
  return value >= -(2 ** 31) && value < 2 ** 31 ? value : undefined;
}

/** `200KiB`, `2MiB`, `1000B`. */
function binaryBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value}${units[unit]}`;
}
