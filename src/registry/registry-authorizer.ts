import { BuildError } from "../core/errors/build-error.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { SessionGroup } from "../core/seams/session-caller.ts";
import { FlightControl } from "../util/flight-control.ts";
import { type AuthChallenge, parseChallenges } from "./auth-challenge.ts";
import { RegistryError } from "./registry-error.ts";
import type { RegistryEndpoint } from "./registry-hosts.ts";
import { type IssuedToken, SessionAuth } from "./session-auth.ts";
import { fetchToken } from "./token-client.ts";
import { normalizeScopes, scopesContain } from "./token-scope.ts";

/** One request's wish to be let in. */
export interface AuthTarget {
  readonly endpoint: RegistryEndpoint;
  readonly scopes: readonly string[];
  readonly sessions: SessionGroup;
  readonly signal: AbortSignal;
}

interface Login {
  readonly challenge: AuthChallenge;
  /** Scopes the registry itself asked for. */
  readonly scopes: readonly string[];
  readonly authority?: Uint8Array;
  readonly username: string;
  readonly secret: string;
  readonly tokens: Map<string, { readonly header: string; readonly expiresAt: number }>;
  lastUsedAt: number;
}

const defaultTokenSeconds = 60;
const idleLoginMs = 10 * 60_000;

/**
 * Knows how to log in to each registry for each session (BuildKit util/resolver/authorizer.go). Logins are found per session:
 * another session may use one only after its client proved, by a signature, that it holds the same credentials.
 * Tokens and passwords live in memory only and are never logged.
 */
export class RegistryAuthorizer {
  readonly #clock: Clock;
  readonly #userAgent: string;
  readonly #logins = new Map<string, Login>();
  readonly #flights = new FlightControl<string>();
  readonly #flightIds = new WeakMap<Login, number>();
  #nextFlightId = 0;

  constructor(options: { readonly clock: Clock; readonly userAgent: string }) {
    this.#clock = options.clock;
    this.#userAgent = options.userAgent;
  }

  /** The Authorization header, or undefined when the registry has not asked for one yet. */
  async authorize(target: AuthTarget): Promise<string | undefined> {
    const login = await this.#find(target);
    if (login === undefined) return undefined;
    try {
      return await this.#header(login, target);
    } catch (error) {
      throw restated(error, "failed to authorize");
    }
  }

  /**
   * Takes a 401 answer in.
   * @param round how many 401s this request has seen, this one included
   * @returns true when another try makes sense
   * @throws RegistryError when the account lacks the rights
   */
  async challenged(target: AuthTarget, challenges: readonly string[], round: number): Promise<boolean> {
    if (round > 3) return false;
    for (const challenge of parseChallenges(challenges)) {
      if (challenge.scheme === "bearer") return await this.#bearer(target, challenge, round);
      if (await this.#basic(target, challenge, round)) return true;
    }
    return false;
  }

  async #bearer(target: AuthTarget, challenge: AuthChallenge, round: number): Promise<boolean> {
    const { host } = target.endpoint;
    const wanted = (challenge.parameters["scope"] ?? "").split(" ").filter((scope) => scope !== "");
    const known = this.#known(target);
    let scopes = wanted;
    if (known !== undefined && known.challenge.scheme === "bearer") {
      if (round === 1) {
        known.tokens.delete(tokenKey(known, target));
        return true;
      }
      const reason = challenge.parameters["error"] ?? "";
      if (reason === "insufficient_scope" && scopesContain([...known.scopes, ...target.scopes], wanted)) {
        this.#forget(known);
        throw new RegistryError(`server message: ${reason}: authorization failed`, { host, path: "", status: 401 });
      }
      this.#forget(known);
      scopes = [...wanted, ...known.scopes];
      if (round > 2) return false;
    }
    const auth = new SessionAuth(target.sessions, target.signal);
    const authority = await auth.authority(host);
    const credentials = authority === undefined ? await auth.credentials(host) : undefined;
    const sessionId = authority?.sessionId ?? credentials?.sessionId ?? target.sessions.ids[0] ?? "";
    this.#remember(host, sessionId, {
      challenge,
      scopes: normalizeScopes(scopes),
      username: credentials?.username ?? "",
      secret: credentials?.secret ?? "",
      ...(authority === undefined ? {} : { authority: authority.publicKey }),
    });
    return true;
  }

  async #basic(target: AuthTarget, challenge: AuthChallenge, round: number): Promise<boolean> {
    if (round > 1) return false;
    const { host } = target.endpoint;
    const credentials = await new SessionAuth(target.sessions, target.signal).credentials(host);
    if (credentials === undefined || credentials.username === "" || credentials.secret === "") return false;
    const { sessionId, username, secret } = credentials;
    this.#remember(host, sessionId, { challenge, scopes: [], username, secret });
    return true;
  }

  #known(target: AuthTarget): Login | undefined {
    const ids = target.sessions.ids.length === 0 ? [""] : target.sessions.ids;
    const login = ids
      .map((id) => this.#logins.get(`${target.endpoint.host}/${id}`))
      .find((found) => found !== undefined);
    return login && this.#touch(login);
  }

  /** A login of these sessions, or one of other sessions which these prove to own as well. */
  async #find(target: AuthTarget): Promise<Login | undefined> {
    const known = this.#known(target);
    if (known !== undefined) return known;
    const { host } = target.endpoint;
    if (target.sessions.ids.length === 0) return undefined;
    const others = new Set([...this.#logins].filter(([key]) => key.startsWith(`${host}/`)).map(([, login]) => login));
    for (const login of others) {
      if (login.authority === undefined) continue;
      const auth = new SessionAuth(target.sessions, target.signal);
      const sessionId = await auth.verifyAuthority(host, login.authority).catch(() => undefined);
      target.signal.throwIfAborted();
      if (sessionId === undefined) continue;
      this.#logins.set(`${host}/${sessionId}`, login);
      return this.#touch(login);
    }
    return undefined;
  }

  async #header(login: Login, target: AuthTarget): Promise<string> {
    if (login.challenge.scheme === "basic") {
      return `Basic ${Buffer.from(`${login.username}:${login.secret}`).toString("base64")}`;
    }
    const key = tokenKey(login, target);
    const cached = login.tokens.get(key);
    if (cached !== undefined && cached.expiresAt > this.#clock.now()) return cached.header;
    return this.#flights.do(
      `${this.#flightId(login)} ${key}`,
      async (signal) => {
        const issued = await this.#fetch(login, { ...target, signal }, key.split(" "));
        const header = `Bearer ${issued.token}`;
        const issuedAtMs = issued.issuedAt === 0 ? this.#clock.now() : issued.issuedAt * 1000;
        const expiresAt = issuedAtMs + (issued.expiresInSeconds || defaultTokenSeconds) * 900;
        login.tokens.set(key, { header, expiresAt });
        return header;
      },
      target.signal,
    );
  }

  async #fetch(login: Login, target: AuthTarget, scopes: readonly string[]): Promise<IssuedToken> {
    const { realm = "", service = "" } = login.challenge.parameters;
    if (login.authority !== undefined) {
      const auth = new SessionAuth(target.sessions, target.signal);
      return auth.token({ host: target.endpoint.host, realm, service, scopes });
    }
    return fetchToken({
      realm,
      service,
      scopes: scopes.filter((scope) => scope !== ""),
      username: login.username,
      secret: login.secret,
      dispatcher: target.endpoint.dispatcher,
      userAgent: this.#userAgent,
      signal: target.signal,
    });
  }

  #remember(host: string, sessionId: string, login: Omit<Login, "tokens" | "lastUsedAt">): void {
    const now = this.#clock.now();
    for (const [key, old] of this.#logins) if (now - old.lastUsedAt > idleLoginMs) this.#logins.delete(key);
    this.#logins.set(`${host}/${sessionId}`, { ...login, tokens: new Map(), lastUsedAt: now });
  }

  #forget(login: Login): void {
    for (const [key, value] of this.#logins) if (value === login) this.#logins.delete(key);
  }

  #touch(login: Login): Login {
    login.lastUsedAt = this.#clock.now();
    return login;
  }

  #flightId(login: Login): number {
    const id = this.#flightIds.get(login) ?? this.#nextFlightId++;
    this.#flightIds.set(login, id);
    return id;
  }
}

function tokenKey(login: Login, target: AuthTarget): string {
  return normalizeScopes([...login.scopes, ...target.scopes]).join(" ");
}

function restated(error: unknown, context: string): unknown {
  if (error instanceof RegistryError) return error.restate(`${context}: ${error.message}`);
  return error instanceof BuildError ? error.wrap(context) : error;
}
