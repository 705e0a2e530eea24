import { readFile } from "node:fs/promises";
import { rootCertificates } from "node:tls";
import { Agent } from "undici";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { parseTokenAnswer, type TokenAnswer, type TokenLogin, tokenForm, tokenGet } from "../../registry/index.ts";

/** How to reach a registry's token server; PEM files. */
export interface RegistryTls {
  readonly insecure: boolean;
  readonly ca: readonly string[];
  readonly keyPairs: readonly { readonly cert: string; readonly key: string }[];
}

/**
 * Gets a bearer token from a token server: with a login by POST, or GET where the server takes no POST; anonymously by GET
 * (distribution spec, token and oauth2; containerd core/remotes/docker/auth).
 */
export async function fetchRegistryToken(
  query: TokenLogin,
  options: { readonly signal: AbortSignal; readonly tls?: RegistryTls },
): Promise<TokenAnswer> {
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

async function sendLogin(query: TokenLogin, send: Send): Promise<Response> {
  const response = await send(...postRequest(query));
  const takesNoPost =
    response.status === 404 || response.status === 401 || (response.status === 405 && query.username !== "");
  if (!takesNoPost) return response;
  await response.body?.cancel();
  return send(...getRequest(query));
}

function getRequest(query: TokenLogin): [URL, RequestInit] {
  const { url, headers } = tokenGet(query);
  return [url, { headers }];
}

function postRequest(query: TokenLogin): [URL, RequestInit] {
  return [new URL(query.realm), { method: "POST", body: tokenForm(query) }];
}

function parseAnswer(answer: unknown): TokenAnswer {
  const token = parseTokenAnswer(answer);
  if (token === undefined) throw new Error("authorization server did not include a token in the response");
  return token;
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
