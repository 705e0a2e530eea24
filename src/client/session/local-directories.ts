import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { decodeCallMetadata, type FileSender } from "../../filesync/index.ts";
import type { GrpcServer } from "../../grpc/index.ts";
import type { SessionService } from "./session-service.ts";

/** `moby.filesync.v1.FileSync` (map b3): gives the daemon the directories of `--local`, owners left out. */
export class LocalDirectories implements SessionService {
  readonly #directories: ReadonlyMap<string, string>;
  readonly #sender: FileSender;

  /**
   * @param directories absolute paths by name
   * @param sender stays the caller's
   */
  constructor(directories: ReadonlyMap<string, string>, sender: FileSender) {
    this.#directories = directories;
    this.#sender = sender;
  }

  register(server: GrpcServer): void {
    server.handle("/moby.filesync.v1.FileSync/DiffCopy", async (call) => {
      const options = decodeCallMetadata(call.metadata);
      const name = options["dir-name"]?.[0] ?? "";
      const directory = this.#directories.get(name);
      if (directory === undefined) {
        throw new BuildError(Code.NotFound, `no access allowed to dir ${JSON.stringify(name)}`);
      }
      const tree = {
        directory,
        prefix: "",
        owner: { uid: 0, gid: 0 },
        ...patterns("includePatterns", options["include-patterns"]),
        ...patterns("excludePatterns", options["exclude-patterns"]),
        ...patterns("followPaths", options["followpaths"]),
      };
      await this.#sender.send(call, [tree], { signal: call.signal });
    });
  }
}

function patterns<K extends string>(key: K, values: readonly string[] | undefined) {
  return (values === undefined ? {} : { [key]: values }) as Partial<Record<K, readonly string[]>>;
}
