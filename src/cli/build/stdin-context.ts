import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { type SessionService, UploadService } from "../../client/session/index.ts";

/** Files that begin so are archives (BuildKit frontend/dockerui/context.go). */
const magic: readonly Uint8Array[] = [
  Uint8Array.of(0x1f, 0x8b, 0x08),
  Buffer.from("BZh"),
  Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00),
  Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd),
];
const tarMagicAt = 257;

/** What `buildfleet build -` builds. Dispose removes its files. */
export class StdinContext implements AsyncDisposable {
  readonly frontendOptions: Readonly<Record<string, string>>;
  readonly localDirectories: ReadonlyMap<string, string>;
  readonly services: readonly SessionService[];
  readonly #directory: string | undefined;

  private constructor(
    options: Readonly<Record<string, string>>,
    services: readonly SessionService[],
    directory: string | undefined,
  ) {
    this.frontendOptions = options;
    this.services = services;
    this.#directory = directory;
    this.localDirectories = new Map(
      directory === undefined
        ? []
        : [
            ["dockerfile", join(directory, "dockerfile")],
            ["context", join(directory, "context")],
          ],
    );
  }

  /** An archive is the whole context, with its Dockerfile; anything else is a Dockerfile that needs none. */
  static async read(stdin: Readable): Promise<StdinContext> {
    const input = await buffer(stdin);
    if (isArchive(input)) {
      const upload = new UploadService();
      const archive = new Blob([new Uint8Array(input)]);
      return new StdinContext({ context: upload.add(() => archive.stream()) }, [upload], undefined);
    }
    const directory = await mkdtemp(join(tmpdir(), "buildfleet-"));
    await mkdir(join(directory, "context"));
    await mkdir(join(directory, "dockerfile"));
    await writeFile(join(directory, "dockerfile", "Dockerfile"), input);
    return new StdinContext({ filename: "Dockerfile" }, [], directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#directory !== undefined) await rm(this.#directory, { recursive: true, force: true });
  }
}

function isArchive(bytes: Buffer): boolean {
  return (
    magic.some((start) => bytes.subarray(0, start.length).equals(start)) ||
    bytes.toString("latin1", tarMagicAt, tarMagicAt + 5) === "ustar"
  );
}
