import { readFile } from "node:fs/promises";
import { rootCertificates } from "node:tls";
import { Agent } from "undici";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";

/** How to reach a registry's token server; PEM files. */
export interface RegistryTls {
  readonly insecure: boolean;
  readonly ca: readonly string[];
  readonly keyPairs: readonly { readonly cert: string; readonly key: string }[];
}

export interface TokenQuery {
  readonly realm: string;
  readonly service: string;
  readonly scopes: readonly string[];
  readonly username: string;
  readonly secret: string;
}

export interface RegistryToken {
  readonly token: string;
  /** 0 when the server names none. */
  readonly expiresInSeconds: number;
  /** Unix seconds; 0 when the server names none. */
  readonly issuedAt: number;
}

/**
 * Gets a bearer token from a token server: with a login by POST, or GET where the server takes no POST; anonymously by GET
 * (distribution spec, token and oauth2; containerd core/remotes/docker/auth).
 */
export async function fetchRegistryToken(
  query: TokenQuery,
  options: { readonly signal: AbortSignal; readonly tls?: RegistryTls },
): Promise<RegistryToken> {
  const agent = options.tls === undefined ? undefined : await tlsAgent(options.tls);
  const label = query.secret === "" ? "failed to fetch anonymous token" : "failed to fetch oauth token";
  const send = (url: URL, init: RequestInit) =>
    fetch(url, {
      ...init,
      signal: options.signal,
      ...(agent === undefined ? {} : { dispatcher: agent }),
    } as RequestInit);
  try {
    if (!/^https?:$/.test(URL.parse(query.realm)?.protocol ?? ""))
      throw new Error("invalid token auth challenge realm");
    const response = query.secret === "" ? await send(...getRequest(query)) : await sendLogin(query, send);
    if (!response.ok)
      throw new Error(`unexpected status from ${response.url}: ${response.status} ${response.statusText}`);
    return parseAnswer(await response.json());
  } catch (error) {
    options.signal.throwIfAborted();
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new BuildError(Code.Unknown, `${label}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause: error,
    });
  } finally {
    await agent?.close();
  }
}

type Send = (url: URL, init: RequestInit) => Promise<Response>;

async function sendLogin(query: TokenQuery, send: Send): Promise<Response> {
  const response = await send(...postRequest(query));
  const takesNoPost =
    response.status === 404 || response.status === 401 || (response.status === 405 && query.username !== "");
  if (!takesNoPost) return response;
  await response.body?.cancel();
  return send(...getRequest(query));
}

function getRequest(query: TokenQuery): [URL, RequestInit] {
  const url = new URL(query.realm);
  if (query.service !== "") url.searchParams.append("service", query.service);
  for (const scope of query.scopes) url.searchParams.append("scope", scope);
  const basic = Buffer.from(`${query.username}:${query.secret}`).toString("base64");
  return [url, { headers: query.secret === "" ? {} : { authorization: `Basic ${basic}` } }];
}

function postRequest(query: TokenQuery): [URL, RequestInit] {
  const form = new URLSearchParams({
    client_id: "buildkit-client",
    service: query.service,
    scope: query.scopes.join(" "),
  });
  if (query.username === "") {
    form.set("grant_type", "refresh_token");
    form.set("refresh_token", query.secret);
  } else {
    form.set("grant_type", "password");
    form.set("username", query.username);
    form.set("password", query.secret);
  }
  return [new URL(query.realm), { method: "POST", body: form }];
}

function parseAnswer(answer: unknown): RegistryToken {
  const fields = (typeof answer === "object" && answer !== null ? answer : {}) as Record<string, unknown>;
  const token = fields["token"] || fields["access_token"];
  if (typeof token !== "string" || token === "") {
    throw new Error("authorization server did not include a token in the response");
  }
  const issuedAt = Date.parse(String(fields["issued_at"] ?? ""));
  return {
    token,
    expiresInSeconds: Number(fields["expires_in"] ?? 0) || 0,
    issuedAt: Number.isNaN(issuedAt) ? 0 : Math.floor(issuedAt / 1000),
  };
}

async function tlsAgent(tls: RegistryTls): Promise<Agent> {
  const read = (paths: readonly string[]) => Promise.all(paths.map((path) => readFile(path)));
  const ca = tls.ca.length === 0 ? undefined : [...rootCertificates, ...(await read(tls.ca))];
  return new Agent({
    connect: {
      rejectUnauthorized: !tls.insecure,
      ...(ca === undefined ? {} : { ca }),
      cert: await read(tls.keyPairs.map((pair) => pair.cert)),
      key: await read(tls.keyPairs.map((pair) => pair.key)),
    },
  });
}
