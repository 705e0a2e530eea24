import { Agent, type Dispatcher, request } from "undici";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { BlobTransport } from "../core/seams/blob-transport.ts";
import type { CacheMountStream, CacheMountTransport } from "../core/seams/cache-mount-transport.ts";
import type { Descriptor } from "../core/values/descriptor.ts";
import { type Digest, Sha256 } from "../core/values/digest.ts";
import type { LayerId } from "../core/values/layer.ts";
import { currentTraceparent } from "../telemetry/index.ts";
import type { MutualTls } from "../util/mutual-tls.ts";
import { alivePath, blobPath, cacheMountPath, digestTrailer, layerPath, swarmPath, versionHeader } from "./paths.ts";
import { RangeClient } from "./range-client.ts";
import { HttpStatusError } from "./range-connection.ts";
import { isSwarmAnswer, type SwarmAnswer, type SwarmAsk, type SwarmTransport } from "./swarm/index.ts";
import { TransferMeter } from "./transfer-meter.ts";
import type { TransferTokens } from "./transfer-tokens.ts";
import { zstdEncoding } from "./wire-compression.ts";

/** A peer that accepts no connection within this is left for another holder. */
const connectTimeoutMs = 1000;
/** A peer that sends nothing for this long is taken for dead. */
const stallTimeoutMs = 10_000;
/**
 * When less comes in, chunks are asked for compressed. Whether the link is slow or a peer is busy cannot be told; at this rate
 * compressing takes a tenth of a processor.
 */
const slowBytesPerSecond = 30e6;
/** Cutting a large layer may take this long before the first byte of the answer. */
const packTimeoutMs = 600_000;

/**
 * Reads blobs from other agents' BlobServers. With TLS a peer's certificate must be of the fleet's CA, whatever names it has:
 * agents come and go under addresses that nobody knows beforehand. Peers without TLS are then refused.
 */
export class HttpBlobTransport implements BlobTransport, CacheMountTransport, SwarmTransport, AsyncDisposable {
  readonly #tokens: TransferTokens;
  readonly #agent: Agent;
  readonly #ranges: RangeClient;
  readonly #link: TransferMeter;
  readonly #tls: boolean;

  /** @param link measures what comes of ranges, as it is on the wire */
  constructor(tokens: TransferTokens, tls?: MutualTls, link = new TransferMeter(() => performance.now())) {
    this.#tokens = tokens;
    this.#link = link;
    this.#tls = tls !== undefined;
    const secured = tls && { ...tls, rejectUnauthorized: true, checkServerIdentity: () => undefined };
    this.#agent = new Agent({
      connect: { timeout: connectTimeoutMs, ...secured },
      bodyTimeout: stallTimeoutMs,
      headersTimeout: stallTimeoutMs,
      connections: 16,
    });
    this.#ranges = new RangeClient({ connectTimeoutMs, ...(secured && { tls: secured }) });
  }

  async *readBlob(
    peerUrl: string,
    digest: Digest,
    offset: number,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const headers = offset > 0 ? { range: `bytes=${offset}-` } : {};
    const response = await this.#send(peerUrl, blobPath.of(digest), { method: "GET", headers, signal });
    try {
      for await (const chunk of response.body) yield chunk;
    } catch (error) {
      signal.throwIfAborted();
      throw unreachable(peerUrl, error);
    }
  }

  async layerBlob(peerUrl: string, id: LayerId, signal: AbortSignal): Promise<Descriptor> {
    const path = layerPath.of(id);
    const response = await this.#send(peerUrl, path, { method: "POST", signal, headersTimeout: packTimeoutMs });
    return (await response.body.json()) as Descriptor;
  }

  async checkBlob(peerUrl: string, digest: Digest, signal: AbortSignal): Promise<void> {
    const path = blobPath.of(digest);
    const response = await this.#send(peerUrl, path, { method: "POST", signal, headersTimeout: packTimeoutMs });
    await response.body.dump();
  }

  async ping(peerUrl: string, signal: AbortSignal): Promise<void> {
    try {
      // Without a trace: it is asked for all the time.
      const headers = this.#headers(peerUrl, alivePath);
      const response = await request(peerUrl + alivePath, { headers, signal, dispatcher: this.#agent });
      await response.body.dump();
    } catch (error) {
      signal.throwIfAborted();
      throw unreachable(peerUrl, error);
    }
  }

  async readCacheMount(peerUrl: string, entryId: string, signal: AbortSignal): Promise<CacheMountStream> {
    const path = cacheMountPath.of(entryId);
    const { headers, body, trailers } = await this.#send(peerUrl, path, { method: "GET", signal });
    const version = headers[versionHeader];
    const bytes = async function* () {
      const hash = new Sha256();
      try {
        for await (const chunk of body) {
          hash.update(chunk);
          yield chunk as Uint8Array;
        }
      } catch (error) {
        signal.throwIfAborted();
        throw unreachable(peerUrl, error);
      }
      if (hash.digest() !== (trailers as Record<string, string>)[digestTrailer]) {
        throw new BuildError(Code.DataLoss, `cache mount from ${peerUrl} was damaged on its way`, {
          infrastructure: true,
        });
      }
    };
    return { version: String(version), bytes: bytes() };
  }

  async ask(peerUrl: string, digest: Digest, ask: SwarmAsk, signal: AbortSignal): Promise<SwarmAnswer> {
    const body = JSON.stringify(ask);
    const response = await this.#send(peerUrl, swarmPath.of(digest), { method: "POST", body, signal });
    let answer: unknown;
    try {
      answer = await response.body.json();
    } catch (error) {
      signal.throwIfAborted();
      throw unreachable(peerUrl, error);
    }
    if (!isSwarmAnswer(answer)) throw unreachable(peerUrl, "its answer cannot be understood");
    return answer;
  }

  async readInto(
    peerUrl: string,
    digest: Digest,
    start: number,
    into: readonly Uint8Array[],
    signal: AbortSignal,
    onBytes: (piece: Uint8Array) => void,
  ): Promise<void> {
    const path = blobPath.of(digest);
    const end = into.reduce((at, piece) => at + piece.length, start);
    const headers = {
      ...this.#headers(peerUrl, path),
      range: `bytes=${start}-${end - 1}`,
      ...((this.#link.bytesPerSecond ?? Number.POSITIVE_INFINITY) < slowBytesPerSecond
        ? { "accept-encoding": zstdEncoding }
        : {}),
    };
    using _read = this.#link.read();
    try {
      this.#link.arrived(await this.#ranges.get(peerUrl, { path, headers, into, onBytes }, signal));
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof BuildError) throw error.wrap(`peer ${peerUrl}`);
      if (!(error instanceof HttpStatusError) || error.status !== 404) throw unreachable(peerUrl, error);
      throw new BuildError(Code.NotFound, `peer ${peerUrl} has not these bytes of ${digest}`, { infrastructure: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ranges[Symbol.dispose]();
    await this.#agent.destroy();
  }

  async #send(
    peerUrl: string,
    path: string,
    options: Omit<Dispatcher.RequestOptions, "path" | "origin">,
  ): Promise<Dispatcher.ResponseData> {
    const traceparent = currentTraceparent();
    const headers = {
      ...(options.headers as Record<string, string>),
      ...this.#headers(peerUrl, path),
      ...(traceparent === undefined ? {} : { traceparent }),
    };
    let response: Dispatcher.ResponseData;
    try {
      response = await request(peerUrl + path, {
        ...options,
        headers,
        dispatcher: this.#agent,
      });
    } catch (error) {
      (options.signal as AbortSignal).throwIfAborted();
      throw unreachable(peerUrl, error);
    }
    if (response.statusCode === 200 || response.statusCode === 206) return response;
    const text = (await response.body.text()).slice(0, 500);
    const code = response.statusCode === 404 ? Code.NotFound : Code.Unavailable;
    throw new BuildError(code, `peer ${peerUrl} answered ${response.statusCode} for ${path}: ${text}`, {
      infrastructure: true,
    });
  }

  #headers(peerUrl: string, path: string): Record<string, string> {
    if (this.#tls && !peerUrl.startsWith("https:")) throw unreachable(peerUrl, "it has no TLS, this agent has");
    return { authorization: `Bearer ${this.#tokens.sign(path)}` };
  }
}

function unreachable(peerUrl: string, error: unknown): BuildError {
  const text = error instanceof Error ? error.message : String(error);
  return new BuildError(Code.Unavailable, `peer ${peerUrl} failed: ${text}`, { cause: error, infrastructure: true });
}
