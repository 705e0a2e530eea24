import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { CacheMountStream } from "../core/seams/cache-mount-transport.ts";
import type { FileContentStore } from "../core/seams/content-store.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { Descriptor } from "../core/values/descriptor.ts";
import { type Digest, parseDigest, Sha256 } from "../core/values/digest.ts";
import type { LayerId } from "../core/values/layer.ts";
import { inSpan } from "../telemetry/index.ts";
import type { MutualTls } from "../util/mutual-tls.ts";
import { byteRange } from "./byte-range.ts";
import { alivePath, blobPath, cacheMountPath, digestTrailer, layerPath, swarmPath, versionHeader } from "./paths.ts";
import { PiecePool } from "./piece-pool.ts";
import { sendFile } from "./send-file.ts";
import { isSwarmAsk, type SwarmServer } from "./swarm/index.ts";
import type { TransferTokens } from "./transfer-tokens.ts";
import { ChunkCompressor, zstdEncoding } from "./wire-compression.ts";

export interface BlobServerOptions {
  readonly content: FileContentStore;
  /** Cuts a layer held here into a blob, once. @throws BuildError NotFound */
  readonly packLayer: (id: LayerId, signal: AbortSignal) => Promise<Descriptor>;
  /** Reads a cache mount held here, once no step uses it; default: there are none. @throws BuildError NotFound, Unavailable */
  readonly readCacheMount?: (entryId: string, signal: AbortSignal) => Promise<CacheMountStream & Disposable>;
  readonly tokens: TransferTokens;
  /** Answers for blobs that many fetch at once, and gives what is here of those being received. */
  readonly swarm?: SwarmServer;
  /** HTTPS, for peers with a certificate of its CA only; default plain HTTP. */
  readonly tls?: MutualTls;
  /** Told of bytes that were sent, once for each answer. */
  readonly onSent?: (bytes: number) => void;
  readonly logger: Logger;
}

/** A connection that has not come this far is none that `closeAllConnections` knows. */
const handshakeTimeoutMs = 5000;

/** Bounds what a peer may say; a set of 100,000 chunks is 17 KB. */
const longestAskBytes = 1 << 20;

/**
 * Serves this agent's blobs to other agents over HTTP/1.1, or HTTPS: `GET /v1/blobs/<digest>` with `Range: bytes=N-` or `bytes=N-M`;
 * `POST /v1/swarms/<digest>` is a `SwarmAsk`, answered with a `SwarmAnswer`;
 * `POST /v1/layers/<id>`, answered with the descriptor of the layer's blob; `POST /v1/blobs/<digest>` asks to check a blob;
 * `GET /v1/alive` is answered at once; `GET /v1/cache-mounts/<entry>` is a tar whose digest follows it as a trailer. Every request carries a token for its path.
 */
export class BlobServer implements AsyncDisposable {
  readonly #options: BlobServerOptions;
  readonly #server: Server;
  readonly #pool = new PiecePool();
  readonly #compressor = new ChunkCompressor();

  constructor(options: BlobServerOptions) {
    this.#options = options;
    const serve = (request: IncomingMessage, response: ServerResponse) => void this.#serve(request, response);
    this.#server =
      options.tls === undefined
        ? createServer(serve)
        : createTlsServer(
            { ...options.tls, requestCert: true, rejectUnauthorized: true, handshakeTimeout: handshakeTimeoutMs },
            serve,
          );
    this.#server.keepAliveTimeout = 60_000;
  }

  /** @returns the port */
  async listen(host: string, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const abort = new AbortController();
    const { socket } = request;
    const before = socket.bytesWritten;
    response.on("close", () => {
      this.#options.onSent?.(socket.bytesWritten - before);
      abort.abort(new BuildError(Code.Canceled, "peer closed the connection"));
    });
    const parent = request.headers["traceparent"];
    try {
      // Only what is asked on behalf of a task is a span: swarms talk all the time.
      if (typeof parent !== "string") await this.#answer(request, response, abort.signal);
      else await inSpan("serve layer", { parent, kind: "server" }, () => this.#answer(request, response, abort.signal));
    } catch (error) {
      this.#fail(response, BuildError.from(error));
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const path = new URL(request.url ?? "/", "http://agent").pathname;
    const token = (request.headers.authorization ?? "").replace(/^Bearer /, "");
    if (!this.#options.tokens.verify(path, token)) {
      throw new BuildError(Code.PermissionDenied, `no valid token for ${path}`);
    }
    if (path === alivePath) {
      response.writeHead(200).end();
      return;
    }
    const blob = blobPath.match(path);
    const layer = layerPath.match(path);
    const mount = cacheMountPath.match(path);
    const swarm = swarmPath.match(path);
    if (request.method === "GET" && mount !== undefined) await this.#sendCacheMount(mount, response, signal);
    else if (request.method === "GET" && blob !== undefined) await this.#sendBlob(blob, request, response, signal);
    else if (request.method === "POST" && blob !== undefined) {
      await this.#checkBlob(parseDigest(blob), signal);
      response.writeHead(200).end();
    } else if (request.method === "POST" && layer !== undefined) {
      const descriptor = await this.#options.packLayer(layer as LayerId, signal);
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(descriptor));
    } else if (request.method === "POST" && swarm !== undefined) {
      await this.#answerSwarm(parseDigest(swarm), request, response, signal);
    } else throw new BuildError(Code.NotFound, `no such resource ${path}`);
  }

  async #sendBlob(
    text: string,
    request: IncomingMessage,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const digest = parseDigest(text);
    const { path, size } = await this.#file(digest, request.headers.range);
    const { start, end } = byteRange(request.headers.range, size);
    const isPart = request.headers.range !== undefined && (start > 0 || end < size);
    const accepts = isPart && request.headers["accept-encoding"] === zstdEncoding;
    const smaller = accepts ? await this.#compressor.compressed(digest, path, { start, end }) : undefined;
    response.writeHead(isPart ? 206 : 200, {
      "content-type": "application/octet-stream",
      "content-length": smaller?.length ?? end - start,
      ...(isPart ? { "content-range": `bytes ${start}-${end - 1}/${size}` } : {}),
      ...(smaller === undefined ? {} : { "content-encoding": zstdEncoding }),
    });
    if (smaller !== undefined) {
      response.end(smaller);
      return;
    }
    await sendFile(path, { start, end }, response, this.#pool, signal);
    response.end();
  }

  /** The file with a blob, or with as much of it as is asked for. */
  async #file(digest: Digest, range: string | undefined): Promise<{ readonly path: string; readonly size: number }> {
    const { content, swarm } = this.#options;
    const stat = await content.stat(digest);
    if (stat !== undefined) return { path: content.path(digest), size: stat.size };
    const received = swarm?.received(digest);
    if (received === undefined) throw new BuildError(Code.NotFound, `blob ${digest} is not here`);
    const { path, layout } = received;
    const { start, end } = byteRange(range, layout.size);
    if (!received.covers(start, end)) throw new BuildError(Code.NotFound, `these bytes of ${digest} are not here`);
    return { path, size: layout.size };
  }

  async #answerSwarm(
    digest: Digest,
    request: IncomingMessage,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const { swarm } = this.#options;
    if (swarm === undefined) throw new BuildError(Code.NotFound, "this agent takes part in no swarms");
    const ask = await readJson(request);
    if (!isSwarmAsk(ask)) throw new BuildError(Code.InvalidArgument, "the body is no question to a swarm");
    const answer = await swarm.answer(digest, ask, signal);
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
  }

  async #sendCacheMount(entryId: string, response: ServerResponse, signal: AbortSignal): Promise<void> {
    using mount = await this.#options.readCacheMount?.(entryId, signal);
    if (mount === undefined) throw new BuildError(Code.NotFound, "no cache mounts here");
    response.writeHead(200, {
      "content-type": "application/x-tar",
      [versionHeader]: mount.version,
      trailer: digestTrailer,
    });
    const hash = new Sha256();
    const hashed = async function* () {
      for await (const chunk of mount.bytes) {
        hash.update(chunk);
        yield chunk;
      }
      response.addTrailers({ [digestTrailer]: hash.digest() });
    };
    await pipeline(hashed, response);
  }

  /** A blob gone bad on this disk goes, so that it is cut or fetched anew. One that is right was damaged on its way. */
  async #checkBlob(digest: Digest, signal: AbortSignal): Promise<void> {
    const { content, logger } = this.#options;
    const hash = createHash("sha256");
    for await (const chunk of content.read(digest, {}, signal)) hash.update(chunk);
    if (`sha256:${hash.digest("hex")}` === digest) return;
    logger.warn("stored blob is corrupt and goes", { digest });
    await content.delete(digest);
  }

  #fail(response: ServerResponse, error: BuildError): void {
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    this.#options.logger.debug("blob request failed", { error: error.message });
    const status = httpStatus.get(error.code) ?? 500;
    response.writeHead(status, { "content-type": "text/plain" }).end(error.message);
  }
}

/** @throws BuildError InvalidArgument for what is too long or no JSON */
async function readJson(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > longestAskBytes) throw new BuildError(Code.InvalidArgument, "the body is too long");
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString());
  } catch (error) {
    throw new BuildError(Code.InvalidArgument, "the body is no JSON", { cause: error });
  }
}

const httpStatus = new Map<Code, number>([
  [Code.PermissionDenied, 403],
  [Code.NotFound, 404],
  [Code.InvalidArgument, 400],
  [Code.OutOfRange, 416],
  [Code.ResourceExhausted, 507],
]);
