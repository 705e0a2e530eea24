import type { Clock } from "../core/seams/clock.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { SessionGroup } from "../core/seams/session-caller.ts";
import { discard, exchange, type HttpRequest, type HttpResponse } from "./http-exchange.ts";
import type { RegistryAuthorizer } from "./registry-authorizer.ts";
import { RegistryError } from "./registry-error.ts";
import type { RegistryEndpoint } from "./registry-hosts.ts";

export interface RegistryRequest {
  readonly endpoint: RegistryEndpoint;
  readonly method: HttpRequest["method"];
  /** Below `/v2/`, e.g. `library/alpine/manifests/latest`; or a whole URL the registry gave us. */
  readonly path: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: NonNullable<HttpRequest["body"]>;
  readonly bodyBytes?: number;
  readonly scopes: readonly string[];
  /** Registry name when the endpoint stands in for another registry (`?ns=docker.io`). */
  readonly namespace?: string;
  readonly sessions: SessionGroup;
  readonly signal: AbortSignal;
  /** False when other endpoints can still be asked: server faults are then answered at once. */
  readonly patient: boolean;
}

export interface RequesterOptions {
  readonly authorizer: RegistryAuthorizer;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly userAgent: string;
  /** Tries per request, first one included; default 5. */
  readonly maxAttempts?: number;
  /** First pause; doubles each time. Default 500. */
  readonly backoffMs?: number;
  /** Longest pause, also for Retry-After; a server that wants more is given up. Default 30 000. */
  readonly maxPauseMs?: number;
}

const retryableStatus = new Set([408, 429, 500, 502, 503, 504]);
const transientCodes = new Set([
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EAI_AGAIN",
  "UND_ERR_SOCKET",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_HEADERS_TIMEOUT",
]);
/**
 * A registry that starts again refuses connections for a moment, and one that is not there does so for good: less than four
 * seconds tell them apart. BuildKit gives up at once.
 */
const refusedPausesMs = [250, 500, 1000, 2000];

/** Sends requests to a registry: logs in when asked to, waits out overload, falls back to plain HTTP where allowed. */
export class RegistryRequester {
  readonly #authorizer: RegistryAuthorizer;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #userAgent: string;
  readonly #maxAttempts: number;
  readonly #backoffMs: number;
  readonly #maxPauseMs: number;
  readonly #plainHosts = new Set<string>();

  constructor(options: RequesterOptions) {
    this.#authorizer = options.authorizer;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#userAgent = options.userAgent;
    this.#maxAttempts = options.maxAttempts ?? 5;
    this.#backoffMs = options.backoffMs ?? 500;
    this.#maxPauseMs = options.maxPauseMs ?? 30_000;
  }

  /**
   * The final answer, whatever its status; the caller reads or discards its body.
   * @throws RegistryError when nothing answered, or access was refused for good
   */
  async send(request: RegistryRequest): Promise<HttpResponse> {
    let method = request.method;
    let unauthorized = 0;
    let refused = 0;
    for (let attempt = 1; ; ) {
      let response: HttpResponse;
      try {
        response = await this.#once(request, method);
      } catch (error) {
        request.signal.throwIfAborted();
        const pauseMs = refusedPausesMs[refused];
        // Nothing was sent, so what has a body can be sent again, and there is nobody else to send it to.
        if (isRefused(error) && pauseMs !== undefined && (request.patient || request.body !== undefined)) {
          refused++;
          this.#logger.info("Registry refuses connections, waiting", { host: request.endpoint.host });
          await this.#clock.sleep(pauseMs, request.signal);
          continue;
        }
        if (!request.patient || attempt >= this.#maxAttempts || !isTransient(error)) throw error;
        await this.#pause(request, attempt++, undefined);
        continue;
      }
      if (response.status === 401) {
        unauthorized++;
        const again = await this.#challenged(request, response, unauthorized);
        if (!again) return response;
        await discard(response);
        continue;
      }
      if (response.status === 405 && method === "HEAD" && response.url.pathname.includes("/manifests/")) {
        await discard(response);
        method = "GET";
        continue;
      }
      const worthWaiting = retryableStatus.has(response.status) && (request.patient || response.status === 429);
      if (!worthWaiting || attempt >= this.#maxAttempts) return response;
      const wanted = retryAfterMs(response.header("retry-after"), this.#clock.now());
      if (wanted !== undefined && wanted > this.#maxPauseMs) return response;
      await discard(response);
      this.#logger.info("Registry is busy, waiting", { host: request.endpoint.host, status: response.status, attempt });
      await this.#pause(request, attempt++, wanted);
    }
  }

  async #pause(request: RegistryRequest, attempt: number, wantedMs: number | undefined): Promise<void> {
    const backoff = Math.min(this.#backoffMs * 2 ** (attempt - 1), this.#maxPauseMs);
    await this.#clock.sleep(wantedMs ?? backoff, request.signal);
  }

  async #challenged(request: RegistryRequest, response: HttpResponse, round: number): Promise<boolean> {
    // A login is for the registry; what a redirect led to must answer for itself.
    if (response.url.host !== request.endpoint.host || !this.#mayAuthorize(request)) return false;
    try {
      return await this.#authorizer.challenged(request, response.challenges, round);
    } catch (error) {
      await discard(response);
      throw error;
    }
  }

  async #once(request: RegistryRequest, method: HttpRequest["method"]): Promise<HttpResponse> {
    const { endpoint } = request;
    const authorization = this.#mayAuthorize(request) ? await this.#authorizer.authorize(request) : undefined;
    const ask = (scheme: string): Promise<HttpResponse> =>
      exchange(
        {
          method,
          url: buildUrl(request, scheme),
          dispatcher: endpoint.dispatcher,
          signal: request.signal,
          headers: {
            "user-agent": this.#userAgent,
            ...request.headers,
            ...(request.bodyBytes === undefined ? {} : { "content-length": String(request.bodyBytes) }),
            ...(authorization === undefined ? {} : { authorization }),
          },
          ...(request.body === undefined ? {} : { body: request.body }),
        },
        this.#logger,
      );
    if (this.#plainHosts.has(endpoint.host)) return ask("http");
    try {
      return await ask(endpoint.scheme);
    } catch (error) {
      if (!endpoint.httpFallback || !speaksPlainHttp(error, endpoint.host)) throw error;
      this.#plainHosts.add(endpoint.host);
      return ask("http");
    }
  }

  /** Only the endpoint itself sees credentials; an upload may have been sent to another server. */
  #mayAuthorize(request: RegistryRequest): boolean {
    return typeof request.path === "string" || request.path.host === request.endpoint.host;
  }
}

function buildUrl(request: RegistryRequest, scheme: string): URL {
  const { endpoint, path } = request;
  const url =
    typeof path === "string" ? new URL(`${scheme}://${endpoint.host}${endpoint.path}/${path}`) : new URL(path);
  const standsIn =
    request.namespace !== undefined &&
    request.namespace !== endpoint.host &&
    !(request.namespace === "docker.io" && endpoint.host === "registry-1.docker.io");
  if (standsIn && request.namespace !== undefined) url.searchParams.set("ns", request.namespace);
  return url;
}

function errorCode(error: unknown): string {
  const cause = error instanceof RegistryError ? error.cause : error;
  return String((cause as NodeJS.ErrnoException | undefined)?.code ?? "");
}

function isTransient(error: unknown): boolean {
  return error instanceof RegistryError && transientCodes.has(errorCode(error));
}

/** Nobody listens at the address. */
export function isRefused(error: unknown): boolean {
  return error instanceof RegistryError && errorCode(error) === "ECONNREFUSED";
}

function speaksPlainHttp(error: unknown, host: string): boolean {
  const code = errorCode(error);
  if (/^(ERR_SSL_|EPROTO)/.test(code)) return true;
  return /^(ECONNREFUSED|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/.test(code) && !/:\d+$/.test(host);
}

/** Milliseconds a `Retry-After` header asks for (seconds or a date), or undefined. */
export function retryAfterMs(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
