import {
  CredentialsRequest,
  CredentialsResponse,
  FetchTokenRequest,
  FetchTokenResponse,
  GetTokenAuthorityRequest,
  GetTokenAuthorityResponse,
  VerifyTokenAuthorityRequest,
  VerifyTokenAuthorityResponse,
} from "../../api/gen/auth.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { type GrpcServer, unary } from "../../grpc/index.ts";
import type { DockerConfig, RegistryLogin } from "../docker-config/docker-config.ts";
import { fetchRegistryToken, type RegistryTls } from "./registry-token.ts";
import type { SessionService } from "./session-service.ts";
import type { TokenAuthority } from "./token-authority.ts";

export interface AuthServiceOptions {
  readonly config: DockerConfig;
  readonly authority: TokenAuthority;
  /** `--registry-auth-tlscontext`, by host. */
  readonly tls?: ReadonlyMap<string, RegistryTls>;
}

/** A login is asked for again after this; short-lived tokens of helpers last five minutes. */
const loginAgeMs = (4 * 60 + 50) * 1000;

/** `moby.filesync.v1.Auth` (map b7): the user's registry logins, and tokens got with them. */
export class AuthService implements SessionService {
  readonly #options: AuthServiceOptions;
  readonly #logins = new Map<string, { readonly at: number; readonly login: Promise<RegistryLogin> }>();

  constructor(options: AuthServiceOptions) {
    this.#options = options;
  }

  register(server: GrpcServer): void {
    const method = (name: string) => `/moby.filesync.v1.Auth/${name}`;
    server.handle(
      method("Credentials"),
      unary(CredentialsRequest, CredentialsResponse, async (request) => credentials(await this.#login(request.Host))),
    );
    server.handle(
      method("FetchToken"),
      unary(FetchTokenRequest, FetchTokenResponse, async (request, call) => {
        const login = await this.#login(request.Host);
        if (login.registryToken !== "") {
          return FetchTokenResponse.fromPartial({ Token: login.registryToken, ExpiresIn: defaultExpirySeconds });
        }
        const { Username: username, Secret: secret } = credentials(login);
        const tls = this.#options.tls?.get(request.Host);
        const token = await fetchRegistryToken(
          { realm: request.Realm, service: request.Service, scopes: request.Scopes, username, secret },
          { signal: call.signal, ...(tls === undefined ? {} : { tls }) },
        );
        return FetchTokenResponse.fromPartial({
          Token: token.token,
          ExpiresIn: token.expiresInSeconds || defaultExpirySeconds,
          IssuedAt: token.issuedAt,
        });
      }),
    );
    server.handle(
      method("GetTokenAuthority"),
      unary(GetTokenAuthorityRequest, GetTokenAuthorityResponse, async (request) => ({
        PublicKey: (await this.#key(request.Host, request.Salt)).publicKey,
      })),
    );
    server.handle(
      method("VerifyTokenAuthority"),
      unary(VerifyTokenAuthorityRequest, VerifyTokenAuthorityResponse, async (request) => ({
        Signed: (await this.#key(request.Host, request.Salt)).sign(request.Payload),
      })),
    );
  }

  async #key(host: string, salt: Uint8Array) {
    if (["1", "t", "T", "TRUE", "true", "True"].includes(process.env["BUILDKIT_NO_CLIENT_TOKEN"] ?? "")) {
      throw new BuildError(Code.Unavailable, "client side tokens disabled");
    }
    const { Secret: secret } = credentials(await this.#login(host));
    return this.#options.authority.key(host, salt, secret !== "");
  }

  #login(host: string): Promise<RegistryLogin> {
    const known = this.#logins.get(host);
    if (known !== undefined && performance.now() - known.at < loginAgeMs) return known.login;
    const login = this.#options.config.login(host);
    this.#logins.set(host, { at: performance.now(), login });
    login.catch(() => this.#logins.delete(host));
    return login;
  }
}

/** Lifetime of a token whose server names none (distribution spec, token). */
const defaultExpirySeconds = 60;

/** An identity token travels as a secret without a user. */
function credentials(login: RegistryLogin): CredentialsResponse {
  return login.identityToken === ""
    ? { Username: login.username, Secret: login.password }
    : { Username: "", Secret: login.identityToken };
}
