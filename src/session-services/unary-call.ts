import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { SessionCaller, SessionCallOptions } from "../core/seams/session-caller.ts";

/**
 * One message to the client, one back.
 * @throws BuildError as the client answered; Internal when it ended the call without an answer
 */
export async function unaryCall(
  caller: SessionCaller,
  method: string,
  request: Uint8Array,
  options: SessionCallOptions = {},
): Promise<Uint8Array> {
  await using stream = caller.open(method, options);
  // A call the client refuses may end before the message is out; its status is read below.
  stream.send(request).then(
    () => stream.closeSend(),
    () => {},
  );
  let answer: Uint8Array | undefined;
  for await (const message of stream.messages) answer ??= message;
  if (answer === undefined) throw new BuildError(Code.Internal, `${method}: no answer`);
  return answer;
}
