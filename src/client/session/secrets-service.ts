import { readFile, stat } from "node:fs/promises";
import { GetSecretRequest, GetSecretResponse } from "../../api/gen/secrets.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { type GrpcServer, unary } from "../../grpc/index.ts";
import type { SessionService } from "./session-service.ts";

/** One secret that steps may ask for, and where its value is. */
export interface SecretSource {
  readonly id: string;
  readonly file?: string;
  readonly env?: string;
}

/** Longest secret a daemon accepts (BuildKit session/secrets/secretsprovider). */
const maxSecretBytes = 500 << 10;

/** `moby.buildkit.secrets.v1.Secrets` (map b8): reads a value each time it is asked for, and keeps none. */
export class SecretsService implements SessionService {
  readonly #sources: ReadonlyMap<string, SecretSource>;

  private constructor(sources: ReadonlyMap<string, SecretSource>) {
    this.#sources = sources;
  }

  /**
   * Settles where each secret comes from: one with neither file nor variable is the variable of that name, else the file.
   * @throws BuildError when a file cannot be read or is too long
   */
  static async open(sources: readonly SecretSource[], env = process.env): Promise<SecretsService> {
    const settled = new Map<string, SecretSource>();
    for (const source of sources) {
      if (source.id === "") throw new BuildError(Code.InvalidArgument, "secret missing ID");
      let { file, env: variable } = source;
      if (file === undefined && variable === undefined) {
        if (env[source.id] !== undefined) variable = source.id;
        else file = source.id;
      }
      if (file !== undefined) await checkFile(source.id, file);
      settled.set(
        source.id,
        variable === undefined ? { id: source.id, file: file ?? "" } : { id: source.id, env: variable },
      );
    }
    return new SecretsService(settled);
  }

  register(server: GrpcServer): void {
    server.handle(
      "/moby.buildkit.secrets.v1.Secrets/GetSecret",
      unary(GetSecretRequest, GetSecretResponse, async ({ ID: id }) => {
        const source = this.#sources.get(id);
        if (source === undefined) throw new BuildError(Code.NotFound, "not found");
        const data = await value(source);
        if (data.length > maxSecretBytes) throw new BuildError(Code.Unknown, `invalid secret size ${data.length}`);
        return { data };
      }),
    );
  }
}

async function checkFile(id: string, file: string): Promise<void> {
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === "ENOENT" ? "no such file or directory" : error.message;
    throw new BuildError(Code.NotFound, `failed to stat ${file}: stat ${file}: ${reason}`, { cause: error });
  });
  if (found.size > maxSecretBytes) {
    throw new BuildError(Code.InvalidArgument, `secret ${id} too big. max size 500KiB`);
  }
}

async function value(source: SecretSource): Promise<Buffer> {
  if (source.env !== undefined) return Buffer.from(process.env[source.env] ?? "");
  return readFile(source.file ?? "");
}
