/** What a token server is asked for, and as whom; without a secret: as nobody. */
export interface TokenLogin {
  readonly realm: string;
  readonly service: string;
  readonly scopes: readonly string[];
  /** Empty: the secret is a refresh token. */
  readonly username: string;
  readonly secret: string;
}

export interface TokenAnswer {
  readonly token: string;
  /** 0 when the server names none. */
  readonly expiresInSeconds: number;
  /** Unix seconds; 0 when the server names none. */
  readonly issuedAt: number;
}

/** The GET of the distribution spec's token flow. */
export function tokenGet(login: TokenLogin): { readonly url: URL; readonly headers: Record<string, string> } {
  const url = new URL(login.realm);
  if (login.service !== "") url.searchParams.append("service", login.service);
  for (const scope of login.scopes) url.searchParams.append("scope", scope);
  const basic = Buffer.from(`${login.username}:${login.secret}`).toString("base64");
  return { url, headers: login.secret === "" ? {} : { authorization: `Basic ${basic}` } };
}

/** The form of its oauth2 flow. */
export function tokenForm({ service, scopes, username, secret }: TokenLogin): URLSearchParams {
  const granted: Record<string, string> =
    username === ""
      ? { grant_type: "refresh_token", refresh_token: secret }
      : { grant_type: "password", username, password: secret };
  return new URLSearchParams({ client_id: "buildkit-client", service, scope: scopes.join(" "), ...granted });
}

/** @returns undefined when there is no token in it */
export function parseTokenAnswer(
  answer: unknown,
  preferred: "token" | "access_token" = "token",
): TokenAnswer | undefined {
  const fields = (typeof answer === "object" && answer !== null ? answer : {}) as Record<string, unknown>;
  const token = fields[preferred] || fields["token"] || fields["access_token"];
  if (typeof token !== "string" || token === "") return undefined;
  const issuedAt = Date.parse(String(fields["issued_at"] ?? ""));
  return {
    token,
    expiresInSeconds: Number(fields["expires_in"] ?? 0) || 0,
    issuedAt: Number.isNaN(issuedAt) ? 0 : Math.floor(issuedAt / 1000),
  };
}
