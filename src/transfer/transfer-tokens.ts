import { createHmac, timingSafeEqual } from "node:crypto";

/** Minutes a token is good for; covers clocks that differ and long queues, since it is checked when a request starts. */
const lifetimeMinutes = 10;

/**
 * Tokens for the agents' blob servers: an HMAC over the request's path and the minute of its making, under the fleet's key.
 * A token opens one path and nothing else.
 */
export class TransferTokens {
  readonly #key: Uint8Array;
  readonly #now: () => number;

  constructor(key: Uint8Array, now: () => number = Date.now) {
    this.#key = key;
    this.#now = now;
  }

  sign(path: string): string {
    const minute = Math.floor(this.#now() / 60_000);
    return `${minute}.${this.#mac(path, minute)}`;
  }

  verify(path: string, token: string): boolean {
    const [minuteText = "", mac = ""] = token.split(".");
    const minute = Number(minuteText);
    if (!Number.isSafeInteger(minute)) return false;
    if (Math.abs(Math.floor(this.#now() / 60_000) - minute) > lifetimeMinutes) return false;
    const expected = Buffer.from(this.#mac(path, minute));
    const given = Buffer.from(mac);
    return expected.length === given.length && timingSafeEqual(expected, given);
  }

  #mac(path: string, minute: number): string {
    return createHmac("sha256", this.#key).update(`${minute}\n${path}`).digest("base64url");
  }
}
