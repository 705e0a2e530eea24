import { pipeline, type Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { type Dispatcher, request } from "undici";
import { BuildError } from "../../core/errors/build-error.ts";
import { networkErrorText } from "../../util/network-error.ts";
import { sourceError } from "../source-identifier.ts";

export interface HttpAnswer extends AsyncDisposable {
  readonly status: number;
  header(name: string): string | undefined;
  /** Read it or leave it; disposing the answer ends the transfer. */
  readonly body: AsyncIterable<Uint8Array>;
}

const maxRedirects = 10;

/**
 * One GET or HEAD with redirects followed; the Authorization header is not carried to another host. gzip is asked for and
 * undone: some servers have another ETag for each encoding, and BuildKit's client asks this way (source/http/source.go).
 */
export async function httpSend(ask: {
  readonly method: "GET" | "HEAD";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly dispatcher: Dispatcher;
  readonly signal: AbortSignal;
}): Promise<HttpAnswer> {
  if (!URL.canParse(ask.url)) throw sourceError(`parse ${JSON.stringify(ask.url)}: invalid URL`);
  let url = new URL(ask.url);
  let headers = ask.headers;
  for (let hop = 0; ; hop++) {
    const answer = await request(url, {
      method: ask.method,
      headers: { ...headers, "Accept-Encoding": "gzip" },
      dispatcher: ask.dispatcher,
      signal: ask.signal,
    }).catch((error: unknown) => {
      ask.signal.throwIfAborted();
      throw unreachable(ask.method, url, error);
    });
    // An abort before anybody reads the body must not become an uncaught "error" event.
    answer.body.on("error", () => {});
    const header = (name: string) => firstValue(answer.headers[name]);
    const location = header("location");
    if (answer.statusCode < 300 || answer.statusCode > 399 || answer.statusCode === 304 || location === undefined) {
      return {
        status: answer.statusCode,
        header,
        body: readBody(unzipped(answer.body, header("content-encoding")), ask.method, url, ask.signal),
        [Symbol.asyncDispose]: async () => void answer.body.destroy(),
      };
    }
    answer.body.destroy();
    if (hop >= maxRedirects) throw sourceError(`${verb(ask.method)} ${quoted(url)}: stopped after 10 redirects`);
    if (!URL.canParse(location, url.href)) {
      throw sourceError(
        `${verb(ask.method)} ${quoted(url)}: failed to parse Location header ${JSON.stringify(location)}`,
      );
    }
    const next = new URL(location, url);
    if (!/^https?:$/.test(next.protocol)) {
      throw sourceError(
        `${verb(ask.method)} ${quoted(next)}: unsupported protocol scheme ${JSON.stringify(next.protocol.slice(0, -1))}`,
      );
    }
    if (next.host !== url.host) {
      headers = Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== "authorization"));
    }
    url = next;
  }
}

function unzipped(body: Readable, encoding: string | undefined): Readable {
  if (encoding?.toLowerCase() !== "gzip") return body;
  const plain = createGunzip();
  // Errors reach the reader of the plain side; one that comes before anybody reads must not be uncaught.
  pipeline(body, plain, () => {});
  plain.on("error", () => {});
  return plain;
}

async function* readBody(
  body: Readable,
  method: string,
  url: URL,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* body as AsyncIterable<Uint8Array>;
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof BuildError ? error : unreachable(method, url, error);
  }
}

function unreachable(method: string, url: URL, error: unknown): BuildError {
  return sourceError(`${verb(method)} ${quoted(url)}: ${networkErrorText(error)}`, error);
}

function quoted(url: URL): string {
  const copy = new URL(url);
  if (copy.password !== "") copy.password = "xxxxx";
  return JSON.stringify(copy.toString());
}

function verb(method: string): string {
  return method.charAt(0) + method.slice(1).toLowerCase();
}

function firstValue(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
