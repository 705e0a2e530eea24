import { setMaxListeners } from "node:events";
import type { Readable } from "node:stream";
import { type Dispatcher, request } from "undici";
import type { Logger } from "../core/seams/logger.ts";
import { networkErrorText } from "../util/network-error.ts";
import { describeErrorBody, RegistryError, statusText } from "./registry-error.ts";

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "PATCH";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly dispatcher: Dispatcher;
  /** Opened anew for every try. */
  readonly body?: () => AsyncIterable<Uint8Array> | Uint8Array;
  readonly signal: AbortSignal;
}

/** An answer whose body has not been read; read it, `discard` it or call `fail`. */
export interface HttpResponse {
  readonly status: number;
  /** After redirects. */
  readonly url: URL;
  readonly method: string;
  /** First value of a header, name in lower case. */
  header(name: string): string | undefined;
  readonly challenges: readonly string[];
  readonly body: Readable & { dump(options?: { limit: number; signal?: AbortSignal }): Promise<void> };
}

const maxRedirects = 10;
const maxErrorBodyBytes = 64_000;

/** One HTTP exchange with redirects followed; credentials are dropped when a redirect leaves the server. */
export async function exchange(ask: HttpRequest, logger?: Logger): Promise<HttpResponse> {
  let url = ask.url;
  let method = ask.method;
  let headers = ask.headers;
  let withBody = ask.body !== undefined;
  for (let hop = 0; ; hop++) {
    ask.signal.throwIfAborted();
    const body = withBody ? ask.body?.() : undefined;
    setMaxListeners(0, ask.signal);
    const answer = await request(url, {
      method,
      headers,
      dispatcher: ask.dispatcher,
      signal: ask.signal,
      ...(body === undefined ? {} : { body: body as Uint8Array }),
    }).catch((error: unknown) => {
      if (ask.signal.aborted) throw ask.signal.reason;
      throw unreachable(method, url, error);
    });
    // An abort before anybody reads the body must not become an uncaught "error" event.
    answer.body.on("error", () => {});
    logger?.debug("Registry answered", { method, url: redactUrl(url), status: answer.statusCode });
    const location = first(answer.headers["location"]);
    if (answer.statusCode < 300 || answer.statusCode > 399 || answer.statusCode === 304 || location === undefined) {
      return {
        status: answer.statusCode,
        url,
        method,
        header: (name) => first(answer.headers[name]),
        challenges: all(answer.headers["www-authenticate"]),
        body: answer.body,
      };
    }
    await answer.body.dump({ limit: maxErrorBodyBytes }).catch(() => {});
    if (hop >= maxRedirects) {
      throw new RegistryError(`${goMethod(method)} ${JSON.stringify(redactUrl(ask.url))}: stopped after 10 redirects`, {
        host: ask.url.host,
        path: ask.url.pathname,
        status: answer.statusCode,
      });
    }
    const next = parseLocation(location, url, method);
    if (next.origin !== url.origin) {
      headers = Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== "authorization"));
    }
    if (answer.statusCode < 307 && method !== "HEAD" && method !== "GET") {
      method = "GET";
      withBody = false;
    }
    url = next;
  }
}

/** Throws what the registry answered, in its own words where it gave any. Reads at most 64 kB of the body. */
export async function fail(response: HttpResponse): Promise<never> {
  const summary = `unexpected status from ${response.method} request to ${redactUrl(response.url)}: ${statusText(response.status)}`;
  const words = describeErrorBody(await readLimited(response, maxErrorBodyBytes));
  throw new RegistryError(words === "" ? summary : `${summary}\n${words}`, {
    status: response.status,
    host: response.url.host,
    path: response.url.pathname,
  });
}

export async function discard(response: HttpResponse): Promise<void> {
  await response.body.dump({ limit: maxErrorBodyBytes }).catch(() => {});
}

async function readLimited(response: HttpResponse, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= limit) break;
    }
  } catch {
    // What came so far is all there is to tell.
  }
  return Buffer.concat(chunks).subarray(0, limit);
}

/** The URL for messages: no credentials, and query values other than `ns` hidden (they may hold signatures). */
export function redactUrl(url: URL): string {
  const copy = new URL(url);
  if (copy.username !== "") copy.username = "xxxxx";
  if (copy.password !== "") copy.password = "xxxxx";
  for (const name of [...new Set(copy.searchParams.keys())]) {
    if (!shownParameters.has(name)) copy.searchParams.set(name, "REDACTED");
  }
  return copy.toString();
}

const shownParameters = new Set(["ns", "service", "scope", "client_id"]);

function unreachable(method: string, url: URL, error: unknown): RegistryError {
  const request = `${goMethod(method)} ${JSON.stringify(redactUrl(url))}`;
  return new RegistryError(`failed to do request: ${request}: ${networkErrorText(error)}`, {
    host: url.host,
    path: url.pathname,
    cause: error,
  });
}

function parseLocation(location: string, base: URL, method: string): URL {
  const next = URL.canParse(location, base.href) ? new URL(location, base) : undefined;
  if (next === undefined || !["http:", "https:"].includes(next.protocol)) {
    throw new RegistryError(`${goMethod(method)} ${JSON.stringify(redactUrl(base))}: invalid redirect location`, {
      host: base.host,
      path: base.pathname,
    });
  }
  return next;
}

function goMethod(method: string): string {
  return method.charAt(0) + method.slice(1).toLowerCase();
}

function first(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function all(value: string | string[] | undefined): readonly string[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}
