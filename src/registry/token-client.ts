import type { Dispatcher } from "undici";
import { discard, exchange, fail, type HttpResponse } from "./http-exchange.ts";
import { RegistryError } from "./registry-error.ts";
import type { IssuedToken } from "./session-auth.ts";
import { parseTokenAnswer, type TokenLogin, tokenForm, tokenGet } from "./token-messages.ts";

export interface TokenQuery extends TokenLogin {
  readonly dispatcher: Dispatcher;
  readonly userAgent: string;
  readonly signal: AbortSignal;
}

const maxAnswerBytes = 1024 * 1024;

/**
 * Gets a bearer token from a registry's token server, with a password or anonymously (distribution spec, token and oauth2).
 * @throws RegistryError `failed to fetch anonymous token: …`
 */
export async function fetchToken(query: TokenQuery): Promise<IssuedToken> {
  const label = query.secret === "" ? "failed to fetch anonymous token" : "failed to fetch oauth token";
  try {
    if (!URL.canParse(query.realm) || !/^https?:$/.test(new URL(query.realm).protocol)) {
      throw new RegistryError("invalid token auth challenge realm", { host: "", path: "" });
    }
    // GET first: the best known token servers do not take POST.
    const response = await getToken(query);
    if (response.status < 300) return parseToken(response, "token");
    const tryPost =
      query.secret !== "" &&
      ((response.status === 405 && query.username !== "") || response.status === 404 || response.status === 401);
    if (!tryPost) return await fail(response);
    await discard(response);
    const second = await postToken(query);
    return second.status < 300 ? await parseToken(second, "access_token") : await fail(second);
  } catch (error) {
    throw error instanceof RegistryError ? error.restate(`${label}: ${error.message}`) : error;
  }
}

async function getToken(query: TokenQuery): Promise<HttpResponse> {
  const { url, headers } = tokenGet(query);
  return exchange({
    method: "GET",
    url,
    dispatcher: query.dispatcher,
    signal: query.signal,
    headers: {
      "user-agent": query.userAgent,
      accept: "application/json",
      ...headers,
    },
  });
}

async function postToken(query: TokenQuery): Promise<HttpResponse> {
  const form = tokenForm(query);
  if (query.username !== "") form.set("access_type", "offline");
  const body = Buffer.from(form.toString());
  return exchange({
    method: "POST",
    url: new URL(query.realm),
    dispatcher: query.dispatcher,
    signal: query.signal,
    body: () => body,
    headers: {
      "user-agent": query.userAgent,
      accept: "application/json",
      "content-type": "application/x-www-form-urlencoded; charset=utf-8",
      "content-length": String(body.length),
    },
  });
}

async function parseToken(response: HttpResponse, preferred: "token" | "access_token"): Promise<IssuedToken> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > maxAnswerBytes) throw problem(response, "token response is too large");
    chunks.push(chunk);
  }
  let answer: unknown;
  try {
    answer = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (error) {
    throw problem(response, "unable to decode token response", error);
  }
  const token = parseTokenAnswer(answer, preferred);
  if (token === undefined) throw problem(response, "authorization server did not include a token in the response");
  return token;
}

function problem(response: HttpResponse, message: string, cause?: unknown): RegistryError {
  return new RegistryError(message, {
    host: response.url.host,
    path: response.url.pathname,
    status: response.status,
    ...(cause === undefined ? {} : { cause }),
  });
}
