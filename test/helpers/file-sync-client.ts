import { BuildError } from "../../src/core/errors/build-error.ts";
import { Code } from "../../src/core/errors/code.ts";
import { decodeCallMetadata, type FileSender } from "../../src/filesync/index.ts";
import { AsyncQueue } from "../../src/util/async-queue.ts";
import type { FakeMethod } from "./fake-session.ts";

export const fileSyncMethod = "/moby.filesync.v1.FileSync/DiffCopy";

/** The client's side of `FileSync/DiffCopy`: sends the named directories with all files owned by root, as buildctl does. */
export function serveFileSync(sender: FileSender, directories: Readonly<Record<string, string>>): FakeMethod {
  return async function* (requests, metadata) {
    const options = decodeCallMetadata(metadata);
    const name = options["dir-name"]?.[0] ?? "";
    const directory = directories[name];
    if (directory === undefined) {
      throw new BuildError(Code.NotFound, `rpc error: code = NotFound desc = no access allowed to dir "${name}"`);
    }
    const answers = new AsyncQueue<Uint8Array>(16);
    const tree = {
      directory,
      prefix: "",
      owner: { uid: 0, gid: 0 },
      ...(options["include-patterns"] === undefined ? {} : { includePatterns: options["include-patterns"] }),
      ...(options["exclude-patterns"] === undefined ? {} : { excludePatterns: options["exclude-patterns"] }),
      ...(options["followpaths"] === undefined ? {} : { followPaths: options["followpaths"] }),
    };
    const sending = sender
      .send({ send: async (message) => void (await answers.push(message)), messages: requests }, [tree])
      .then(
        () => answers.end(),
        (error: unknown) => answers.fail(error),
      );
    yield* answers;
    await sending;
  };
}
