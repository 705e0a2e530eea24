import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { SessionCaller, SessionCallOptions, SessionGroup } from "../../core/seams/session-caller.ts";

/** One message there, one back. @throws BuildError with the client's code */
export async function unaryCall(
  caller: SessionCaller,
  method: string,
  request: Uint8Array,
  options: SessionCallOptions,
): Promise<Uint8Array> {
  await using stream = caller.open(method, options);
  await stream.send(request);
  stream.closeSend();
  for await (const message of stream.messages) return message;
  throw new BuildError(Code.Internal, `no answer from ${method}`);
}

/** One message there, any number back; the call is ended when the reader stops early. */
export async function* serverStream(
  caller: SessionCaller,
  method: string,
  request: Uint8Array | undefined,
  options: SessionCallOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  await using stream = caller.open(method, options);
  if (request !== undefined) await stream.send(request);
  stream.closeSend();
  yield* stream.messages;
}

/** A given session, or with an empty id any that does it. */
export async function withSession<T>(
  sessions: SessionGroup,
  id: string,
  signal: AbortSignal,
  use: (caller: SessionCaller) => Promise<T>,
): Promise<T> {
  if (id === "") return sessions.any(use, { signal });
  return use(await sessions.get(id, { signal }));
}
