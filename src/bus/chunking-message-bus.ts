import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { BusMessage, MessageBus } from "../core/seams/message-bus.ts";
import { randomId } from "../core/values/random-id.ts";
import { decode, encode } from "../util/msgpack.ts";

/** First byte of every message. */
const whole = 0;
/** msgpack `Part`; the handler sees the message when the last part has come. */
const part = 1;
/** msgpack `Parcel`: the answer is fetched part by part. */
const parcel = 2;

interface Part {
  readonly id: string;
  readonly index: number;
  readonly count: number;
  readonly data: Uint8Array;
}

interface Parcel {
  readonly id: string;
  readonly subject: string;
  readonly count: number;
}

/** Largest message put together; a task with files in its definition is a few megabytes. */
const maxMessageBytes = 64 << 20;
/** Unfinished messages and answers not fetched are dropped after this. */
const keepMs = 60_000;

/**
 * Carries requests and answers larger than the bus allows, in acknowledged parts. Plain publishes are not split: nobody
 * acknowledges them. Owns the inner bus.
 */
export class ChunkingMessageBus implements MessageBus {
  readonly maxPayloadBytes = maxMessageBytes;
  readonly #bus: MessageBus;
  readonly #chunkBytes: number;
  readonly #parcelSubject = `bf.parcel.${randomId()}`;
  readonly #parcels = new Map<string, readonly Uint8Array[]>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #subscription: Disposable;

  constructor(bus: MessageBus, chunkBytes = bus.maxPayloadBytes - 4096) {
    this.#bus = bus;
    this.#chunkBytes = chunkBytes;
    this.#subscription = bus.subscribe(this.#parcelSubject, (message) => {
      const { id, index } = decode<{ id: string; index: number }>(message.data);
      const data = this.#parcels.get(id)?.[index];
      if (data !== undefined) message.respond(data);
    });
  }

  publish(subject: string, data: Uint8Array): void {
    this.#bus.publish(subject, frame(whole, data));
  }

  subscribe(subject: string, handler: (message: BusMessage) => void): Disposable {
    const unfinished = new Map<string, { readonly parts: Uint8Array[]; missing: number }>();
    return this.#bus.subscribe(subject, (message) => {
      const body = message.data.subarray(1);
      const respond = (data: Uint8Array) => message.respond(this.#answer(data));
      if (message.data[0] === whole) return handler({ subject: message.subject, data: body, respond });
      const { id, index, count, data } = decode<Part>(body);
      let gathered = unfinished.get(id);
      if (gathered === undefined) {
        gathered = { parts: [], missing: count };
        unfinished.set(id, gathered);
        this.#later(() => unfinished.delete(id));
      }
      if (gathered.parts[index] === undefined) gathered.missing--;
      gathered.parts[index] = data;
      if (gathered.missing > 0) return message.respond(frame(whole, new Uint8Array()));
      unfinished.delete(id);
      return handler({ subject: message.subject, data: Buffer.concat(gathered.parts), respond });
    });
  }

  async request(
    subject: string,
    data: Uint8Array,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Uint8Array> {
    if (data.length > maxMessageBytes) {
      throw new BuildError(
        Code.ResourceExhausted,
        `message of ${data.length} bytes on "${subject}" is larger than ${maxMessageBytes}`,
      );
    }
    let answer: Uint8Array | undefined;
    if (data.length < this.#chunkBytes) answer = await this.#bus.request(subject, frame(whole, data), options);
    else {
      const id = randomId();
      const parts = this.#split(data);
      for (const [index, chunk] of parts.entries()) {
        const message: Part = { id, index, count: parts.length, data: chunk };
        answer = await this.#bus.request(subject, frame(part, encode(message)), options);
      }
    }
    return this.#open(answer ?? new Uint8Array(1), options);
  }

  async flush(): Promise<void> {
    await this.#bus.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#bus[Symbol.asyncDispose]();
  }

  /** The answer itself, or where to fetch it. */
  #answer(data: Uint8Array): Uint8Array {
    if (data.length < this.#chunkBytes) return frame(whole, data);
    const id = randomId();
    const parts = this.#split(data);
    this.#parcels.set(id, parts);
    this.#later(() => this.#parcels.delete(id));
    const where: Parcel = { id, subject: this.#parcelSubject, count: parts.length };
    return frame(parcel, encode(where));
  }

  async #open(
    answer: Uint8Array,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Uint8Array> {
    const body = answer.subarray(1);
    if (answer[0] !== parcel) return body;
    const { id, subject, count } = decode<Parcel>(body);
    const parts: Uint8Array[] = [];
    for (let index = 0; index < count; index++) {
      parts.push(await this.#bus.request(subject, encode({ id, index }), options));
    }
    return Buffer.concat(parts);
  }

  #split(data: Uint8Array): readonly Uint8Array[] {
    const parts: Uint8Array[] = [];
    for (let at = 0; at < data.length; at += this.#chunkBytes) parts.push(data.subarray(at, at + this.#chunkBytes));
    return parts;
  }

  #later(work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, keepMs);
    timer.unref();
    this.#timers.add(timer);
  }
}

function frame(kind: number, data: Uint8Array): Uint8Array {
  const framed = new Uint8Array(data.length + 1);
  framed[0] = kind;
  framed.set(data, 1);
  return framed;
}
