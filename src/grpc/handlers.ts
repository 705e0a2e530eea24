import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { MessageCodec } from "./message-codec.ts";
import type { ServerCall, ServerHandler } from "./server-call.ts";

/** Handler of a call with one message each way. */
export function unary<Req, Res>(
  request: MessageCodec<Req>,
  response: MessageCodec<Res>,
  serve: (message: Req, call: ServerCall) => Promise<Res> | Res,
): ServerHandler {
  return async (call) => {
    const message = await onlyMessage(request, call);
    await call.send(response.encode(await serve(message, call)).finish());
  };
}

/** Handler of a call with one request and many responses; the next is made when there is room for it. */
export function serverStream<Req, Res>(
  request: MessageCodec<Req>,
  response: MessageCodec<Res>,
  serve: (message: Req, call: ServerCall) => AsyncIterable<Res>,
): ServerHandler {
  return async (call) => {
    const message = await onlyMessage(request, call);
    for await (const item of serve(message, call)) await call.send(response.encode(item).finish());
  };
}

/** Decodes a message. @throws BuildError Internal, as grpc-go does for bytes that do not parse */
export function decodeMessage<T>(codec: MessageCodec<T>, bytes: Uint8Array): T {
  try {
    return codec.decode(bytes);
  } catch (error) {
    throw new BuildError(
      Code.Internal,
      `grpc: error unmarshalling request: proto: cannot parse invalid wire-format data: ${BuildError.from(error).message}`,
      { cause: error },
    );
  }
}

/** What a call receives, decoded. @throws BuildError as decodeMessage */
export async function* decodeMessages<T>(
  codec: MessageCodec<T>,
  messages: AsyncIterable<Uint8Array>,
): AsyncGenerator<T, void, undefined> {
  for await (const bytes of messages) yield decodeMessage(codec, bytes);
}

async function onlyMessage<T>(codec: MessageCodec<T>, call: ServerCall): Promise<T> {
  let found: Uint8Array | undefined;
  for await (const bytes of call.messages) {
    if (found !== undefined) throw new BuildError(Code.Internal, "grpc: more than one request message");
    found = bytes;
  }
  if (found === undefined) throw new BuildError(Code.Internal, "grpc: no request message");
  return decodeMessage(codec, found);
}
