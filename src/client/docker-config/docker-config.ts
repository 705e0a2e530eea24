import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { credentialFromHelper } from "./credential-helper.ts";

/** What is known for logging in to a registry. Empty strings where nothing is. */
export interface RegistryLogin {
  readonly username: string;
  readonly password: string;
  /** A refresh token in place of a password. */
  readonly identityToken: string;
  /** A bearer token to use as it is. */
  readonly registryToken: string;
}

export const noLogin: RegistryLogin = { username: "", password: "", identityToken: "", registryToken: "" };

interface AuthEntry {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

interface ConfigFile {
  readonly auths?: Readonly<Record<string, AuthEntry>>;
  readonly credsStore?: string;
  readonly credHelpers?: Readonly<Record<string, string>>;
}

/** Docker Hub's key in docker's file, for historical reasons. */
const dockerHubHost = "registry-1.docker.io";
const dockerHubKey = "https://index.docker.io/v1/";

/** `$DOCKER_CONFIG`, else `~/.docker`. */
export function dockerConfigDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return env["DOCKER_CONFIG"] || join(homedir(), ".docker");
}

/** Logins as `docker login` leaves them: in `config.json` itself or with a credential helper (docker/cli cli/config). */
export class DockerConfig {
  readonly directory: string;
  readonly #file: ConfigFile;

  constructor(directory: string, file: ConfigFile) {
    this.directory = directory;
    this.#file = file;
  }

  /** A missing file is an empty one. @throws BuildError InvalidArgument when the file is no JSON object */
  static async load(directory: string = dockerConfigDirectory()): Promise<DockerConfig> {
    const path = join(directory, "config.json");
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch {
      return new DockerConfig(directory, {});
    }
    try {
      const parsed: unknown = JSON.parse(text);
      if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw new Error("not an object");
      return new DockerConfig(directory, parsed);
    } catch (error) {
      throw new BuildError(Code.InvalidArgument, `cannot read ${path}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** @param host registry host as the daemon names it */
  async login(host: string, signal?: AbortSignal): Promise<RegistryLogin> {
    const key = host === dockerHubHost ? dockerHubKey : host;
    const helper = this.#file.credHelpers?.[key] ?? this.#file.credsStore ?? "";
    const stored = this.#stored(key);
    if (helper === "") return stored;
    const found = await credentialFromHelper(helper, key, signal);
    return { ...(found ?? noLogin), registryToken: stored.registryToken };
  }

  #stored(key: string): RegistryLogin {
    const auths = this.#file.auths ?? {};
    const legacy = Object.keys(auths).find((name) => hostOf(name) === key);
    const entry = auths[key] ?? (legacy === undefined ? undefined : auths[legacy]);
    if (entry === undefined) return noLogin;
    const [username, password] = decodeAuth(entry.auth);
    return {
      username: username ?? entry.username ?? "",
      password: password ?? entry.password ?? "",
      identityToken: entry.identitytoken ?? "",
      registryToken: entry.registrytoken ?? "",
    };
  }
}

/** Host of a key that may be a whole URL: `https://example.com/v1/` → `example.com`. */
function hostOf(key: string): string {
  if (key.includes("://") && URL.canParse(key)) return new URL(key).host;
  return key.split("/")[0] ?? "";
}

/** base64 of `user:password`. */
function decodeAuth(auth: string | undefined): [username?: string, password?: string] {
  if (auth === undefined || auth === "") return [];
  const text = Buffer.from(auth, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon < 0 ? [] : [text.slice(0, colon), text.slice(colon + 1).replace(/\0+$/, "")];
}
