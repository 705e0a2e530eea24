import { createPublicKey, randomBytes, timingSafeEqual, verify } from "node:crypto";
import {
  CredentialsRequest,
  CredentialsResponse,
  FetchTokenRequest,
  FetchTokenResponse,
  GetTokenAuthorityRequest,
  GetTokenAuthorityResponse,
  VerifyTokenAuthorityRequest,
  VerifyTokenAuthorityResponse,
} from "../api/gen/auth.ts";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { SessionCaller, SessionGroup } from "../core/seams/session-caller.ts";

const service = "/moby.filesync.v1.Auth";
const callTimeoutMs = 60_000;

/** Differs per process, so that a client's signing keys are of no use after a restart. */
const salt = randomBytes(32);

export interface Credentials {
  readonly sessionId: string;
  readonly username: string;
  /** With an empty username an identity token. */
  readonly secret: string;
}

export interface IssuedToken {
  readonly token: string;
  readonly expiresInSeconds: number;
  /** Unix seconds; 0 when unknown. */
  readonly issuedAt: number;
}

/**
 * The registry login of build clients, asked for at the moment of use (BuildKit session/auth). A client that signs tokens
 * (a *token authority*) fetches them itself and never shows its password; an older one hands out credentials.
 */
export class SessionAuth {
  readonly #sessions: SessionGroup;
  readonly #signal: AbortSignal;

  constructor(sessions: SessionGroup, signal: AbortSignal) {
    this.#sessions = sessions;
    this.#signal = AbortSignal.any([signal, AbortSignal.timeout(callTimeoutMs)]);
  }

  /** The client's public signing key for a registry, or undefined when no client has one. */
  async authority(host: string): Promise<{ sessionId: string; publicKey: Uint8Array } | undefined> {
    return this.#any([Code.Unimplemented, Code.Unavailable], async (caller) => {
      const request = GetTokenAuthorityRequest.encode({ Host: host, Salt: salt }).finish();
      const { PublicKey } = GetTokenAuthorityResponse.decode(await this.#call(caller, "GetTokenAuthority", request));
      if (PublicKey.length !== 32) {
        throw new BuildError(Code.Unknown, `invalid pubkey length ${PublicKey.length}`);
      }
      return { sessionId: caller.id, publicKey: PublicKey };
    });
  }

  /** The session whose client owns the same key, i.e. may use tokens got with it. */
  async verifyAuthority(host: string, publicKey: Uint8Array): Promise<string | undefined> {
    return this.#any([Code.Unimplemented, Code.Unavailable], async (caller) => {
      const payload = randomBytes(32);
      const request = VerifyTokenAuthorityRequest.encode({ Host: host, Salt: salt, Payload: payload }).finish();
      const { Signed } = VerifyTokenAuthorityResponse.decode(await this.#call(caller, "VerifyTokenAuthority", request));
      return openSigned(Signed, publicKey, payload) ? caller.id : undefined;
    });
  }

  async token(request: {
    readonly host: string;
    readonly realm: string;
    readonly service: string;
    readonly scopes: readonly string[];
  }): Promise<IssuedToken> {
    return this.#sessions.any(
      async (caller) => {
        const bytes = FetchTokenRequest.encode({
          ClientID: "buildkit-client",
          Host: request.host,
          Realm: request.realm,
          Service: request.service,
          Scopes: [...request.scopes],
        }).finish();
        const answer = FetchTokenResponse.decode(await this.#call(caller, "FetchToken", bytes));
        return { token: answer.Token, expiresInSeconds: answer.ExpiresIn, issuedAt: answer.IssuedAt };
      },
      { signal: this.#signal },
    );
  }

  async credentials(host: string): Promise<Credentials | undefined> {
    return this.#any([Code.Unimplemented], async (caller) => {
      const request = CredentialsRequest.encode({ Host: host }).finish();
      const answer = CredentialsResponse.decode(await this.#call(caller, "Credentials", request));
      return { sessionId: caller.id, username: answer.Username, secret: answer.Secret };
    });
  }

  async #any<T>(absent: readonly Code[], use: (caller: SessionCaller) => Promise<T>): Promise<T | undefined> {
    if (this.#sessions.ids.length === 0) return undefined;
    try {
      return await this.#sessions.any(
        async (caller) => {
          try {
            return await use(caller);
          } catch (error) {
            if (error instanceof BuildError && absent.includes(error.code)) return undefined;
            throw error;
          }
        },
        { signal: this.#signal },
      );
    } catch (error) {
      if (error instanceof BuildError && error.code === Code.NotFound && /^no active session/.test(error.message)) {
        return undefined;
      }
      throw error;
    }
  }

  async #call(caller: SessionCaller, method: string, request: Uint8Array): Promise<Uint8Array> {
    await using stream = caller.open(`${service}/${method}`, { signal: this.#signal });
    await stream.send(request);
    stream.closeSend();
    for await (const message of stream.messages) return message;
    throw new BuildError(Code.Internal, `no answer from ${service}/${method}`);
  }
}

/** NaCl `crypto_sign_open`: 64 bytes of Ed25519 signature, then the message. */
function openSigned(signed: Uint8Array, publicKey: Uint8Array, payload: Uint8Array): boolean {
  const message = signed.subarray(64);
  if (signed.length < 64 || message.length !== payload.length || !timingSafeEqual(message, payload)) return false;
  const key = createPublicKey({
    key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(publicKey).toString("base64url") },
    format: "jwk",
  });
  return verify(null, message, key, signed.subarray(0, 64));
}
