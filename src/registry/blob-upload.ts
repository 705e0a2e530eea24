import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { Descriptor } from "../core/values/descriptor.ts";
import { discard, fail, type HttpResponse } from "./http-exchange.ts";
import { RegistryError } from "./registry-error.ts";
import { isRefused, type RegistryRequest, type RegistryRequester } from "./registry-requester.ts";
import { repositoryScope } from "./token-scope.ts";

export type UploadOutcome = "exists" | "mounted" | "pushed";

export interface BlobUpload {
  readonly descriptor: Descriptor;
  readonly source: () => AsyncIterable<Uint8Array>;
  readonly mountFrom: readonly string[];
  readonly requester: RegistryRequester;
  readonly clock: Clock;
  /** Endpoint, login and repository; `path` is the repository with a final slash. */
  readonly base: Omit<RegistryRequest, "method">;
  readonly onBytes?: (sent: number) => void;
}

const maxTries = 4;
const firstPauseMs = 1000;

/** Stores one blob: nothing when it is there, a mount when a sibling repository has it, else one streamed PUT. */
export async function uploadBlob(job: BlobUpload): Promise<UploadOutcome> {
  const { base, descriptor, requester } = job;
  const head = await requester.send({ ...base, method: "HEAD", path: `${base.path}blobs/${descriptor.digest}` });
  if (head.status === 200) {
    await discard(head);
    return "exists";
  }
  if (head.status !== 404 && head.status !== 401 && head.status !== 403) return fail(head);
  await discard(head);
  for (let attempt = 1; ; attempt++) {
    try {
      return await tryUpload(job, attempt === 1);
    } catch (error) {
      base.signal.throwIfAborted();
      if (error instanceof RegistryError && error.cause instanceof BuildError) throw error.cause;
      // A whole new upload: what was sent of the broken one is lost to us.
      if (attempt >= maxTries || !worthAnotherUpload(error)) throw error;
      await job.clock.sleep(firstPauseMs * 2 ** (attempt - 1), base.signal);
    }
  }
}

async function tryUpload(job: BlobUpload, mayMount: boolean): Promise<UploadOutcome> {
  const { base, descriptor, requester } = job;
  let started: HttpResponse | undefined;
  for (const from of mayMount ? job.mountFrom : []) {
    started = await mount(job, from);
    if (started?.status === 201) {
      await discard(started);
      return "mounted";
    }
    if (started !== undefined) break;
  }
  started ??= await requester.send({ ...base, method: "POST", path: `${base.path}blobs/uploads/`, bodyBytes: 0 });
  if (started.status === 201) {
    await discard(started);
    return "exists";
  }
  if (![200, 202, 204].includes(started.status)) return fail(started);
  await discard(started);
  const target = uploadTarget(started, descriptor);
  const answer = await requester.send({
    ...base,
    method: "PUT",
    path: target,
    // Each try needs a fresh upload session, so retries are made one level up.
    patient: false,
    headers: { "content-type": "application/octet-stream" },
    bodyBytes: descriptor.size,
    body: () => counted(job),
  });
  if (![200, 201, 204].includes(answer.status)) return fail(answer);
  await discard(answer);
  const stored = answer.header("docker-content-digest");
  if (stored !== undefined && stored !== descriptor.digest) {
    throw new BuildError(Code.DataLoss, `registry ${target.host} stored blob ${descriptor.digest} as ${stored}`);
  }
  return "pushed";
}

/** @returns undefined when the registry would not let us look into the other repository */
async function mount(job: BlobUpload, from: string): Promise<HttpResponse | undefined> {
  const { base, descriptor } = job;
  const query = new URLSearchParams({ mount: descriptor.digest, from });
  try {
    const response = await job.requester.send({
      ...base,
      method: "POST",
      path: `${base.path}blobs/uploads/?${query}`,
      scopes: [...base.scopes, repositoryScope(from, false)],
      bodyBytes: 0,
    });
    if (response.status === 201 || response.status === 202) return response;
    await discard(response);
  } catch (error) {
    // A login for both repositories may be refused in more ways than one.
    const { status = 0 } = error instanceof RegistryError ? error : {};
    if (status < 400 || status >= 500) throw error;
  }
  return undefined;
}

function uploadTarget(started: HttpResponse, descriptor: Descriptor): URL {
  const location = started.header("location") ?? "";
  const text = location.startsWith("/") || location.includes("://") ? location : `${started.url.protocol}//${location}`;
  if (location === "" || !URL.canParse(text, started.url.href)) {
    throw new RegistryError(`unable to parse location ${JSON.stringify(location)}`, {
      host: started.url.host,
      path: started.url.pathname,
      status: started.status,
    });
  }
  const url = new URL(text, started.url);
  url.searchParams.append("digest", descriptor.digest);
  return url;
}

async function* counted(job: BlobUpload): AsyncGenerator<Uint8Array, void, undefined> {
  let sent = 0;
  for await (const chunk of job.source()) {
    sent += chunk.length;
    if (sent > job.descriptor.size) break;
    yield chunk;
    job.onBytes?.(sent);
  }
  if (sent !== job.descriptor.size) {
    throw new BuildError(
      Code.DataLoss,
      `blob ${job.descriptor.digest} has ${sent} bytes, expected ${job.descriptor.size}`,
    );
  }
}

function worthAnotherUpload(error: unknown): boolean {
  if (!(error instanceof RegistryError) || isRefused(error)) return false;
  const { status } = error;
  return status === undefined || status >= 500 || status === 404 || status === 408 || status === 416 || status === 429;
}
