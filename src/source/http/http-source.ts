import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Dispatcher } from "undici";
import { BuildError } from "../../core/errors/build-error.ts";
import type { ContentStore } from "../../core/seams/content-store.ts";
import type { KeyValue } from "../../core/seams/key-value.ts";
import type { Snapshotter } from "../../core/seams/snapshotter.ts";
import type { Digest } from "../../core/values/digest.ts";
import type { OutputsResult, ResolvedSource } from "../../core/values/task.ts";
import { readSecret } from "../session/secrets.ts";
import { readUpload } from "../session/upload.ts";
import { verifyPgpSignature } from "../signature/verify-pgp.ts";
import { commitLayer, type ResolveOptions, type SourceContext, type SourceHandler } from "../source-handler.ts";
import { type SourceRequest, sourceError } from "../source-identifier.ts";
import { writeSourceFile } from "../write-file.ts";
import { checksumOf } from "./http-checksum.ts";
import { type HttpAnswer, httpSend } from "./http-get.ts";
import {
  type HttpIdentifier,
  httpCacheKey,
  httpFilename,
  normalizeHttpDate,
  parseHttpIdentifier,
  requestKey,
} from "./http-identifier.ts";

export interface HttpSourceOptions {
  readonly snapshotter: Snapshotter;
  /** Keeps what `resolve` had to download until `fetch` wants it. */
  readonly content: ContentStore;
  /** Remembers validators (ETag) of earlier answers. */
  readonly validators: KeyValue;
  readonly dispatcher: Dispatcher;
  /** Default `buildkit/v0.32`. */
  readonly userAgent?: string;
}

/** What is remembered of an answer. */
interface Validator {
  readonly etag: string;
  readonly digest: Digest;
  readonly lastModified: string;
}

const maxValidators = 8;

/** `http://` and `https://` sources: one file each (BuildKit source/http). */
export class HttpSource implements SourceHandler {
  readonly #options: HttpSourceOptions;

  constructor(options: HttpSourceOptions) {
    this.#options = options;
  }

  /** With a checksum given nothing is asked; else the file is downloaded, unless its ETag says it is known. */
  async resolve(source: SourceRequest, context: SourceContext, options: ResolveOptions = {}): Promise<ResolvedSource> {
    const id = parseHttpIdentifier(source);
    const found = await this.#identify(id, context, options);
    if (id.signature !== undefined) await this.#verify(id, id.signature, found.pin as Digest, context);
    if (options.checksum === undefined) return found;
    const checksum = await checksumOf(this.#content(id, found.pin as Digest, context), options.checksum);
    return { ...found, details: { ...found.details, checksum } };
  }

  async #identify(id: HttpIdentifier, context: SourceContext, options: ResolveOptions): Promise<ResolvedSource> {
    if (id.checksum !== undefined) return resolved(id, id.checksum, httpFilename(id, undefined), "");
    if (options.known !== undefined) {
      const { pin, details } = options.known;
      const filename = id.filename === "" ? (details["filename"] ?? "") : httpFilename(id, undefined);
      return resolved(id, pin as Digest, filename, details["lastModified"] ?? "");
    }
    const headers = await this.#headers(id, context);
    const known = await this.#known(id);
    const unchanged = await this.#unchanged(id, headers, known, context);
    if (unchanged !== undefined) return unchanged;
    await using answer = await this.#get(id, conditional(headers, known), context);
    if (answer.status === 304) {
      const match = matching(answer, known);
      if (match === undefined) {
        throw sourceError(`invalid not-modified ETag: ${stripWeak(answer.header("etag") ?? "")}`);
      }
      return resolved(id, match.digest, filenameOf(id, answer), match.lastModified);
    }
    const { digest } = await this.#options.content.write(answer.body, {}, context.signal);
    const lastModified = normalizeHttpDate(answer.header("last-modified"));
    const etag = stripWeak(answer.header("etag") ?? "");
    if (etag !== "") await this.#remember(id, { etag, digest, lastModified }, known);
    return resolved(id, digest, filenameOf(id, answer), lastModified);
  }

  async fetch(
    source: SourceRequest,
    given: ResolvedSource | undefined,
    context: SourceContext,
  ): Promise<OutputsResult> {
    const id = parseHttpIdentifier(source);
    const known = given ?? (await this.resolve(source, context));
    const wanted = known.pin as Digest;
    const record = { description: `http url ${id.url}` };
    return commitLayer(this.#options.snapshotter, context, record, async (directory) => {
      const { content } = this.#options;
      if (id.checksum === undefined && (await content.stat(wanted)) !== undefined) {
        const bytes = content.read(wanted, {}, context.signal);
        const name = known.details["filename"] ?? httpFilename(id, undefined);
        const mtimeMs = timeOf(known.details["lastModified"]);
        if ((await writeSourceFile(directory, name, bytes, { ...id, mtimeMs })) === wanted) return;
        context.logger.warn("stored blob is corrupt and goes", { digest: wanted });
        await content.delete(wanted);
        await rm(join(directory, name));
      }
      await using answer = await this.#get(id, await this.#headers(id, context), context);
      const mtimeMs = timeOf(normalizeHttpDate(answer.header("last-modified")));
      const got = await writeSourceFile(directory, filenameOf(id, answer), answer.body, { ...id, mtimeMs });
      if (got !== wanted) throw sourceError(`digest mismatch ${got}: ${wanted}`);
    });
  }

  /** Forgets answers whose content is not here any more. */
  async forgetGone(): Promise<void> {
    const { validators, content } = this.#options;
    const known = new Map<string, readonly Validator[]>();
    using watch = validators.watch("", ({ key, value }) => {
      if (value !== undefined) known.set(key, parseValidators(value));
    });
    await watch.ready;
    for (const [key, answers] of known) {
      const present = await Promise.all(answers.map(({ digest }) => content.stat(digest)));
      if (present.every((blob) => blob === undefined)) await validators.delete(key);
    }
  }

  async #verify(
    id: HttpIdentifier,
    { publicKey, signature }: NonNullable<HttpIdentifier["signature"]>,
    pin: Digest,
    context: SourceContext,
  ): Promise<void> {
    const policy = { rejectExpiredKeys: false, now: Date.now() };
    try {
      await verifyPgpSignature(this.#content(id, pin, context), signature, publicKey, policy);
    } catch (error) {
      throw BuildError.from(error).wrap("failed to verify pgp signature");
    }
  }

  /** The file, once more from its origin where it is not here. */
  async *#content(id: HttpIdentifier, wanted: Digest, context: SourceContext): AsyncGenerator<Uint8Array> {
    const { content } = this.#options;
    if ((await content.stat(wanted)) === undefined) {
      await using answer = await this.#get(id, await this.#headers(id, context), context);
      const { digest } = await content.write(answer.body, {}, context.signal);
      if (digest !== wanted) throw sourceError(`digest mismatch for ${id.url}: ${digest} (expected: ${wanted})`);
    }
    yield* content.read(wanted, {}, context.signal);
  }

  /** Some servers send ETags but do not honour If-None-Match: a HEAD and our own comparison come first. */
  async #unchanged(
    id: HttpIdentifier,
    headers: Readonly<Record<string, string>>,
    known: readonly Validator[],
    context: SourceContext,
  ): Promise<ResolvedSource | undefined> {
    if (known.length === 0) return undefined;
    const ask = { url: id.url, dispatcher: this.#options.dispatcher, signal: context.signal };
    try {
      await using answer = await httpSend({ ...ask, method: "HEAD", headers: conditional(headers, known) });
      const match = answer.status === 200 || answer.status === 304 ? matching(answer, known) : undefined;
      return match && resolved(id, match.digest, filenameOf(id, answer), match.lastModified);
    } catch {
      context.signal.throwIfAborted();
      return undefined;
    }
  }

  async #get(
    id: HttpIdentifier,
    headers: Readonly<Record<string, string>>,
    context: SourceContext,
  ): Promise<HttpAnswer> {
    if (isUpload(id)) return uploadAnswer(readUpload(context.sessions, new URL(id.url), context.signal));
    const answer = await httpSend({
      method: "GET",
      url: id.url,
      headers,
      dispatcher: this.#options.dispatcher,
      signal: context.signal,
    });
    if (answer.status >= 200 && answer.status < 400) return answer;
    await answer[Symbol.asyncDispose]();
    throw sourceError(`invalid response status ${answer.status}`);
  }

  async #headers(id: HttpIdentifier, context: SourceContext): Promise<Readonly<Record<string, string>>> {
    const headers: Record<string, string> = { "User-Agent": this.#options.userAgent ?? "buildkit/v0.32" };
    for (const { Name, Value } of id.headers) headers[Name] = Value;
    if (isUpload(id)) return headers;
    const authorization = await authorizationHeader(id, context);
    if (authorization !== undefined) headers["Authorization"] = authorization;
    return headers;
  }

  /** Validators whose content is still here. */
  async #known(id: HttpIdentifier): Promise<readonly Validator[]> {
    if (isUpload(id)) return [];
    const entry = await this.#options.validators.get(requestKey(id));
    if (entry === undefined) return [];
    const stored = parseValidators(entry.value);
    const present = await Promise.all(stored.map(({ digest }) => this.#options.content.stat(digest)));
    return stored.filter((_, index) => present[index] !== undefined);
  }

  async #remember(id: HttpIdentifier, fresh: Validator, known: readonly Validator[]): Promise<void> {
    const kept = [fresh, ...known.filter(({ etag }) => etag !== fresh.etag)].slice(0, maxValidators);
    await this.#options.validators.put(requestKey(id), Buffer.from(JSON.stringify(kept)));
  }
}

function parseValidators(value: Uint8Array): readonly Validator[] {
  return JSON.parse(Buffer.from(value).toString("utf8"));
}

/** True for an entry that HttpSource has written. @throws SyntaxError */
export function isValidators(value: Uint8Array): boolean {
  const validators: unknown = parseValidators(value);
  const isValidator = ({ etag, digest }: Partial<Validator>) => typeof etag === "string" && typeof digest === "string";
  return Array.isArray(validators) && validators.every(isValidator);
}

function resolved(id: HttpIdentifier, digest: Digest, filename: string, lastModified: string): ResolvedSource {
  return {
    cacheKey: httpCacheKey(id, filename, digest, lastModified),
    pin: digest,
    details: { filename, ...(lastModified === "" ? {} : { lastModified }) },
  };
}

function filenameOf(id: HttpIdentifier, answer: HttpAnswer): string {
  return httpFilename(id, answer.header("content-disposition"));
}

function conditional(headers: Readonly<Record<string, string>>, known: readonly Validator[]) {
  return known.length === 0 ? headers : { ...headers, "If-None-Match": known.map(({ etag }) => etag).join(", ") };
}

/** A 304 without ETag speaks of the only one we asked about. */
function matching(answer: HttpAnswer, known: readonly Validator[]): Validator | undefined {
  const etag = stripWeak(answer.header("etag") ?? "");
  if (etag === "" && answer.status === 304 && known.length === 1) return known[0];
  return known.find((validator) => validator.etag === etag);
}

function stripWeak(etag: string): string {
  return etag.replace(/^W\//, "");
}

function timeOf(httpDate: string | undefined): number {
  return httpDate === undefined || httpDate === "" ? 0 : Date.parse(httpDate);
}

function isUpload(id: HttpIdentifier): boolean {
  return id.url.startsWith("http://buildkit-session/");
}

function uploadAnswer(body: AsyncGenerator<Uint8Array, void, undefined>): HttpAnswer {
  return {
    status: 200,
    header: () => undefined,
    body,
    [Symbol.asyncDispose]: async () => void (await body.return()),
  };
}

/** From the client's secrets: the named one, else by the host's name (map c14). The value goes nowhere but into the request. */
async function authorizationHeader(id: HttpIdentifier, context: SourceContext): Promise<string | undefined> {
  const named = id.authHeaderSecret;
  const hostname = URL.canParse(id.url) ? new URL(id.url).hostname : "";
  const candidates =
    named === ""
      ? [
          { name: `HTTP_AUTH_TOKEN_${hostname}`, prefix: "Bearer " },
          { name: `HTTP_AUTH_HEADER_${hostname}`, prefix: "" },
        ]
      : [{ name: named, prefix: "" }];
  for (const { name, prefix } of candidates) {
    try {
      const value = await context.sessions.any(
        async (caller) => {
          const secret = await readSecret(caller, name, context.signal);
          if (secret === undefined) throw sourceError(`secret ${name}: not found`);
          return Buffer.from(secret).toString("utf8");
        },
        { signal: context.signal },
      );
      return prefix + value;
    } catch (error) {
      context.signal.throwIfAborted();
      if (named !== "") {
        throw sourceError(`failed to retrieve HTTP auth secret ${named}: ${(error as Error).message}`, error);
      }
    }
  }
  return undefined;
}
