import { BytesMessage } from "../../api/gen/upload.ts";
import type { SessionGroup } from "../../core/seams/session-caller.ts";
import { serverStream } from "./session-call.ts";

/**
 * Bytes a client offers under `http://buildkit-session/<id>`: a tar context or a Dockerfile from its stdin (map b10).
 * They can be read once.
 */
export async function* readUpload(
  sessions: SessionGroup,
  url: URL,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const metadata = { urlpath: [url.pathname], urlhost: [url.host] };
  const method = "/moby.upload.v1.Upload/Pull";
  const { first, rest } = await sessions.any(
    async (caller) => {
      const messages = serverStream(caller, method, undefined, { metadata, signal });
      // The first message shows whether this client has the upload.
      return { first: await messages.next(), rest: messages };
    },
    { signal },
  );
  try {
    if (first.done === true) return;
    yield BytesMessage.decode(first.value).data;
    for await (const message of rest) yield BytesMessage.decode(message).data;
  } finally {
    await rest.return();
  }
}
