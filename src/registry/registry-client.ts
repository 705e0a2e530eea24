import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { SessionGroup } from "../core/seams/session-caller.ts";
import type { Descriptor } from "../core/values/descriptor.ts";
import { type Digest, isDigest, sha256 } from "../core/values/digest.ts";
import {
  formatImageSpec,
  type ImageSpec,
  specDigest,
  specHost,
  specRepository,
} from "../core/values/image-reference.ts";
import { isIndexType, isManifestType, isNonDistributableType, MediaType } from "../core/values/media-type.ts";
import { steadyClock, systemClock } from "../util/system-clock.ts";
import { downloadBlob } from "./blob-download.ts";
import { type UploadOutcome, uploadBlob } from "./blob-upload.ts";
import { ConnectionLimiter } from "./connection-limiter.ts";
import { discard, exchange, fail, type HttpResponse, redactUrl } from "./http-exchange.ts";
import { listReferrers } from "./referrers.ts";
import { RegistryAuthorizer } from "./registry-authorizer.ts";
import { RegistryError, statusText } from "./registry-error.ts";
import type { RegistryEndpoint, RegistryHosts } from "./registry-hosts.ts";
import { type RegistryRequest, RegistryRequester, type RequesterOptions } from "./registry-requester.ts";
import { repositoryScope } from "./token-scope.ts";

export interface RegistryClientOptions
  extends Partial<Pick<RequesterOptions, "maxAttempts" | "backoffMs" | "maxPauseMs">> {
  readonly hosts: RegistryHosts;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Default `buildkit/v0.32`. */
  readonly userAgent?: string;
  /** Transfers at a time per registry; one more for JSON. Default 4. */
  readonly maxConnectionsPerRegistry?: number;
}

/** For whom, and how long. */
export interface RegistryCall {
  /** Sessions whose clients hold the logins. */
  readonly sessions: SessionGroup;
  readonly signal: AbortSignal;
  /** Any certificate, plain HTTP allowed, mirrors left out (`registry.insecure`). */
  readonly insecure?: boolean;
}

/** containerd's MaxManifestSize; a manifest has no business being larger. */
export const maxManifestBytes = 4 * 1048 * 1048;

const resolveAccept = [
  MediaType.dockerManifest,
  MediaType.dockerIndex,
  MediaType.ociManifest,
  MediaType.ociIndex,
  "*/*",
].join(", ");

/**
 * Client of the OCI distribution API for every registry. Repositories are given with their host, `docker.io/library/alpine`.
 * Mirrors are tried in order, then the host; logins come from client sessions. Safe for concurrent use.
 */
export class RegistryClient {
  readonly #hosts: RegistryHosts;
  readonly #requester: RegistryRequester;
  readonly #limiter: ConnectionLimiter;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #userAgent: string;
  /** `host digest` of blobs an endpoint served wrongly; it is not asked for them again. */
  readonly #liars = new Set<string>();

  constructor(options: RegistryClientOptions) {
    this.#hosts = options.hosts;
    this.#logger = options.logger;
    this.#clock = options.clock ?? systemClock;
    this.#limiter = new ConnectionLimiter(options.maxConnectionsPerRegistry ?? 4);
    const userAgent = options.userAgent ?? "buildkit/v0.32";
    this.#userAgent = userAgent;
    this.#requester = new RegistryRequester({
      authorizer: new RegistryAuthorizer({ clock: options.clock ?? steadyClock, userAgent }),
      clock: this.#clock,
      logger: options.logger,
      userAgent,
      ...(options.maxAttempts === undefined ? {} : { maxAttempts: options.maxAttempts }),
      ...(options.backoffMs === undefined ? {} : { backoffMs: options.backoffMs }),
      ...(options.maxPauseMs === undefined ? {} : { maxPauseMs: options.maxPauseMs }),
    });
  }

  /**
   * Descriptor (type, digest, size) of what a reference names now.
   * @throws RegistryError `<ref>: not found`, …
   */
  async resolve(spec: ImageSpec, call: RegistryCall): Promise<Descriptor> {
    if (spec.object === "") throw new BuildError(Code.Unknown, "object required");
    const digest = specDigest(spec);
    if (digest !== "" && !isDigest(digest)) throw new BuildError(Code.Unknown, "invalid checksum digest format");
    const paths = digest === "" ? [`manifests/${spec.object}`] : [`manifests/${digest}`, `blobs/${digest}`];
    const endpoints = await this.#hosts.endpoints(specHost(spec), call.insecure);
    using _slot = await this.#limiter.acquire(specHost(spec), "json", call.signal);
    // The error that got furthest is the one worth telling: 1 no answer, 2 not found, 3 refused, 4 too large.
    let worst: { readonly rank: number; readonly error: unknown } | undefined;
    const note = (rank: number, error: unknown) => {
      if (worst === undefined || worst.rank < rank) worst = { rank, error };
    };
    const name = formatImageSpec(spec);
    for (const path of paths) {
      if ((worst?.rank ?? 0) > 2) break;
      for (const [index, endpoint] of endpoints.entries()) {
        const request = this.#request(spec.locator, endpoint, path, call, index === endpoints.length - 1);
        let response: HttpResponse;
        try {
          response = await this.#requester.send({ ...request, method: "HEAD", headers: { accept: resolveAccept } });
        } catch (error) {
          call.signal.throwIfAborted();
          note(1, denied(error, "pull"));
          continue;
        }
        if (response.status === 404) {
          await discard(response);
          note(2, notFound(`${name}: not found`, response));
          continue;
        }
        if (response.status > 299) {
          note(3, await failure(await this.#withWords(request, response)));
          continue;
        }
        const found = await this.#describe(request, response, digest);
        if (found.size <= maxManifestBytes) return found;
        note(4, notFound(`rejecting ${found.size} byte manifest for ${name}: not found`, response));
      }
    }
    throw worst?.error ?? new BuildError(Code.Unknown, `${name}: not found`);
  }

  /** The bytes of an index, manifest or config, verified. Small by nature, so whole. */
  async fetchJson(repository: string, descriptor: Descriptor, call: RegistryCall): Promise<Uint8Array> {
    if (descriptor.size > maxManifestBytes * 8) {
      throw new BuildError(Code.Unknown, `rejecting ${descriptor.size} byte document ${descriptor.digest}`);
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.blob(repository, descriptor, call)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  /**
   * A blob's bytes (or a manifest's, by media type) from `offset`. A cut stream is resumed; size, and from offset 0 also the
   * digest, are verified at the end, so the last read may throw.
   * @throws RegistryError; BuildError DataLoss when the bytes are not what was named
   */
  async *blob(
    repository: string,
    descriptor: Descriptor,
    call: RegistryCall & { readonly offset?: number },
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const isManifest = isManifestType(descriptor.mediaType) || isIndexType(descriptor.mediaType);
    const host = specHost({ locator: repository, object: "" });
    const all = await this.#hosts.endpoints(host, call.insecure);
    const honest = all.filter((endpoint) => !this.#liars.has(`${endpoint.host} ${descriptor.digest}`));
    const endpoints = honest.length > 0 ? honest : all;
    const kind = descriptor.mediaType.endsWith("+json") ? "json" : "blob";
    using _slot = await this.#limiter.acquire(host, kind, call.signal);
    const path = `${isManifest ? "manifests" : "blobs"}/${descriptor.digest}`;
    yield* downloadBlob({
      descriptor,
      offset: call.offset ?? 0,
      signal: call.signal,
      clock: this.#clock,
      logger: this.#logger,
      open: (offset) => this.#openFirst(repository, descriptor, endpoints, path, offset, call),
      onMismatch: (servedBy) => this.#liars.add(`${servedBy} ${descriptor.digest}`),
    });
  }

  /**
   * Size of a blob known by digest only (`docker-image+blob://`), and where it lies.
   * @throws RegistryError `unexpected HEAD status code <url>: 404 Not Found`
   */
  async stat(repository: string, digest: Digest, call: RegistryCall): Promise<Descriptor> {
    const host = specHost({ locator: repository, object: "" });
    const endpoints = await this.#hosts.endpoints(host, call.insecure);
    using _slot = await this.#limiter.acquire(host, "json", call.signal);
    let firstError: unknown;
    for (const kind of ["blobs", "manifests"]) {
      for (const [index, endpoint] of endpoints.entries()) {
        const request = this.#request(repository, endpoint, `${kind}/${digest}`, call, index === endpoints.length - 1);
        try {
          const response = await this.#requester.send({ ...request, method: "HEAD", headers: { accept: "*/*" } });
          await discard(response);
          if (response.status > 299) {
            const summary = `unexpected HEAD status code ${redactUrl(response.url)}: ${statusText(response.status)}`;
            throw notFound(summary, response);
          }
          const mediaType = kind === "blobs" ? "application/octet-stream" : contentType(response);
          return { mediaType, digest, size: Number(response.header("content-length") ?? -1) };
        } catch (error) {
          call.signal.throwIfAborted();
          firstError ??= error;
        }
      }
    }
    throw firstError;
  }

  /** Descriptors of what refers to a manifest, such as signatures. @throws RegistryError */
  async referrers(repository: string, digest: Digest, call: RegistryCall): Promise<readonly Descriptor[]> {
    const host = specHost({ locator: repository, object: "" });
    const endpoints = await this.#hosts.endpoints(host, call.insecure);
    using _slot = await this.#limiter.acquire(host, "json", call.signal);
    return await listReferrers(digest, maxManifestBytes, async (path) => {
      let failed: unknown;
      for (const [index, endpoint] of endpoints.entries()) {
        const request = this.#request(repository, endpoint, path, call, index === endpoints.length - 1);
        try {
          const response = await this.#requester.send({
            ...request,
            method: "GET",
            headers: { accept: `${MediaType.ociIndex}, */*` },
          });
          if (response.status <= 299) return response;
          if (response.status === 404) await discard(response);
          else await fail(response);
        } catch (error) {
          call.signal.throwIfAborted();
          failed ??= denied(error, "pull");
        }
      }
      // A registry without such a list may answer anything; the tag that stands in for it decides.
      if (failed !== undefined && !path.startsWith("referrers/")) throw failed;
      return undefined;
    });
  }

  /**
   * Uploads a blob unless the repository has it.
   * @param source opened once per try; must yield exactly `descriptor.size` bytes
   * @returns `exists`, `mounted` (from one of `mountFrom`, repositories on the same host) or `pushed`
   */
  async pushBlob(
    repository: string,
    descriptor: Descriptor,
    source: () => AsyncIterable<Uint8Array>,
    call: RegistryCall & { readonly mountFrom?: readonly string[]; readonly onBytes?: (sent: number) => void },
  ): Promise<UploadOutcome> {
    const { host, endpoint } = await this.#pushEndpoint(repository, call);
    const kind = descriptor.mediaType.endsWith("+json") ? "json" : "blob";
    using _slot = await this.#limiter.acquire(host, kind, call.signal);
    try {
      return await uploadBlob({
        descriptor,
        source,
        mountFrom: (call.mountFrom ?? []).filter(
          (from) => from !== specRepository({ locator: repository, object: "" }),
        ),
        requester: this.#requester,
        clock: this.#clock,
        base: this.#request(repository, endpoint, "", call, true, true),
        ...(call.onBytes === undefined ? {} : { onBytes: call.onBytes }),
      });
    } catch (error) {
      throw denied(error, "push");
    }
  }

  /**
   * Stores a manifest or index under its digest, or under a tag as well.
   * @throws BuildError DataLoss when the registry stored it under another digest
   */
  async pushManifest(
    repository: string,
    manifest: { readonly mediaType: string; readonly bytes: Uint8Array },
    call: RegistryCall & { readonly tag?: string },
  ): Promise<Descriptor> {
    const { host, endpoint } = await this.#pushEndpoint(repository, call);
    const digest = sha256(manifest.bytes);
    const object = call.tag ?? digest;
    const request = this.#request(repository, endpoint, `manifests/${object}`, call, true, true);
    using _slot = await this.#limiter.acquire(host, "json", call.signal);
    const descriptor = { mediaType: manifest.mediaType, digest, size: manifest.bytes.length };
    try {
      const headers = { accept: `${manifest.mediaType}, */*` };
      const existing = await this.#requester.send({ ...request, method: "HEAD", headers });
      await discard(existing);
      if (existing.status === 200 && existing.header("docker-content-digest") === digest) return descriptor;
      const response = await this.#requester.send({
        ...request,
        method: "PUT",
        headers: { "content-type": manifest.mediaType },
        body: () => manifest.bytes,
        bodyBytes: manifest.bytes.length,
      });
      if (response.status > 299) return await fail(response);
      await discard(response);
      const stored = response.header("docker-content-digest");
      if (stored !== undefined && stored !== digest) {
        throw new BuildError(Code.DataLoss, `registry ${endpoint.host} stored manifest ${digest} as ${stored}`);
      }
      return descriptor;
    } catch (error) {
      throw denied(error, "push");
    }
  }

  async #pushEndpoint(repository: string, call: RegistryCall): Promise<{ host: string; endpoint: RegistryEndpoint }> {
    const host = specHost({ locator: repository, object: "" });
    const endpoint = (await this.#hosts.endpoints(host, call.insecure)).find(({ canPush }) => canPush);
    if (endpoint === undefined) throw new BuildError(Code.Unknown, "no push hosts: not found");
    return { host, endpoint };
  }

  async #openFirst(
    repository: string,
    descriptor: Descriptor,
    endpoints: readonly RegistryEndpoint[],
    path: string,
    offset: number,
    call: RegistryCall,
  ): Promise<{ readonly response: HttpResponse; readonly servedBy: string }> {
    const elsewhere = await this.#openElsewhere(descriptor, offset, call.signal);
    if (elsewhere !== undefined) return elsewhere;
    let firstError: unknown;
    for (const [index, endpoint] of endpoints.entries()) {
      const request = this.#request(repository, endpoint, path, call, index === endpoints.length - 1);
      try {
        const response = await this.#requester.send({
          ...request,
          method: "GET",
          headers: {
            accept: descriptor.mediaType === "" ? "*/*" : `${descriptor.mediaType}, */*`,
            ...(offset === 0 ? {} : { range: `bytes=${offset}-` }),
          },
        });
        if (response.status <= 299) return { response, servedBy: endpoint.host };
        if (response.status !== 404) await fail(response);
        await discard(response);
        throw notFound(`content at ${redactUrl(response.url)} not found: not found`, response);
      } catch (error) {
        call.signal.throwIfAborted();
        firstError ??= denied(error, "pull");
      }
    }
    if (firstError instanceof RegistryError && firstError.status === 404 && path.startsWith("blobs/")) {
      const what = `${descriptor.digest} (${descriptor.mediaType})`;
      throw firstError.restate(`could not fetch content descriptor ${what} from remote: not found`);
    }
    throw firstError;
  }

  /**
   * Layers a registry may not hold come from the URLs of their descriptor, without any login. @returns undefined when none of
   * them answers: then the registry is asked all the same, as by containerd (core/remotes/docker/fetcher.go)
   */
  async #openElsewhere(
    descriptor: Descriptor,
    offset: number,
    signal: AbortSignal,
  ): Promise<{ readonly response: HttpResponse; readonly servedBy: string } | undefined> {
    if (!isNonDistributableType(descriptor.mediaType)) return undefined;
    for (const text of descriptor.urls ?? []) {
      if (!/^https?:\/\//.test(text) || !URL.canParse(text)) continue;
      const url = new URL(text);
      try {
        const response = await exchange({
          method: "GET",
          url,
          headers: { "user-agent": this.#userAgent, ...(offset === 0 ? {} : { range: `bytes=${offset}-` }) },
          dispatcher: this.#hosts.plainDispatcher(),
          signal,
        });
        if (response.status <= 299) return { response, servedBy: url.host };
        await fail(response);
      } catch (error) {
        signal.throwIfAborted();
        this.#logger.debug("Layer is not where its descriptor says", { url: redactUrl(url), error: String(error) });
      }
    }
    return undefined;
  }

  /** A refused HEAD carries no explanation; a GET of the same does. */
  async #withWords(request: Omit<RegistryRequest, "method">, response: HttpResponse): Promise<HttpResponse> {
    if (response.status !== 403) return response;
    try {
      const second = await this.#requester.send({
        ...request,
        method: "GET",
        patient: false,
        headers: { accept: resolveAccept },
      });
      if (second.status === response.status) {
        await discard(response);
        return second;
      }
      await discard(second);
    } catch {
      request.signal.throwIfAborted();
    }
    return response;
  }

  async #describe(
    request: Omit<RegistryRequest, "method">,
    response: HttpResponse,
    known: string,
  ): Promise<Descriptor> {
    const length = response.header("content-length");
    const named = known === "" ? (response.header("docker-content-digest") ?? "") : known;
    await discard(response);
    if (named !== "" && length !== undefined) {
      if (!isDigest(named)) {
        throw notFound(
          `${JSON.stringify(named)} in header not a valid digest: invalid checksum digest format`,
          response,
        );
      }
      return { mediaType: contentType(response), digest: named, size: Number(length) };
    }
    const body = await this.#requester.send({ ...request, method: "GET", headers: { accept: resolveAccept } });
    if (body.status > 299) return fail(body);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of body.body as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size <= maxManifestBytes) chunks.push(chunk);
      else break;
    }
    const digest = isDigest(named) ? named : sha256(Buffer.concat(chunks));
    return { mediaType: contentType(body), digest, size };
  }

  #request(
    repository: string,
    endpoint: RegistryEndpoint,
    path: string,
    call: RegistryCall,
    patient: boolean,
    push = false,
  ): Omit<RegistryRequest, "method"> {
    const spec = { locator: repository, object: "" };
    const name = specRepository(spec);
    return {
      endpoint,
      path: `${name}/${path}`,
      scopes: [repositoryScope(name, push)],
      namespace: specHost(spec),
      sessions: call.sessions,
      signal: call.signal,
      patient,
    };
  }
}

function contentType(response: HttpResponse): string {
  const type = (response.header("content-type") ?? "").split(";", 1)[0]?.trim() ?? "";
  // Some registries label schema 1 manifests as plain text.
  return type === "text/plain" ? MediaType.dockerSchema1 : type;
}

function notFound(message: string, response: HttpResponse): RegistryError {
  return new RegistryError(message, {
    status: response.status,
    host: response.url.host,
    path: response.url.pathname,
  });
}

async function failure(response: HttpResponse): Promise<unknown> {
  return fail(response).catch((error: unknown) => error);
}

function denied(error: unknown, action: "pull" | "push"): unknown {
  if (!(error instanceof RegistryError) || !error.message.endsWith("authorization failed")) return error;
  return error.restate(
    `${action} access denied, repository does not exist or may require authorization: ${error.message}`,
  );
}
