import { GetSecretRequest, GetSecretResponse } from "../../src/api/gen/secrets.ts";
import { BytesMessage } from "../../src/api/gen/ssh.ts";
import { BuildError } from "../../src/core/errors/build-error.ts";
import { Code } from "../../src/core/errors/code.ts";
import type { SessionCaller, SessionGroup, SessionStream } from "../../src/core/seams/session-caller.ts";
import { AsyncQueue } from "../../src/util/async-queue.ts";

export interface FakeClient {
  readonly secrets?: Readonly<Record<string, string>>;
  /** Answers what a program sends to its agent; absent: no agent is forwarded. */
  readonly ssh?: (id: string, data: string) => string;
}

/** A build's sessions with one client that serves secrets and an ssh agent. */
export function fakeSessions(client: FakeClient, id = "session"): SessionGroup {
  const caller: SessionCaller = {
    id,
    sharedKey: "",
    supports: () => true,
    open: (method, options) => serve(client, method, options?.metadata?.["buildkit.ssh.id"]?.[0] ?? ""),
  };
  return {
    ids: [id],
    get: async () => caller,
    any: async (use) => use(caller),
  };
}

function serve(client: FakeClient, method: string, sshId: string): SessionStream {
  const answers = new AsyncQueue<Uint8Array>();
  const name = method.slice(method.lastIndexOf("/") + 1);
  const receive = (message: Uint8Array) => {
    switch (name) {
      case "GetSecret": {
        const value = client.secrets?.[GetSecretRequest.decode(message).ID];
        if (value === undefined) answers.fail(new BuildError(Code.NotFound, "no such secret"));
        else answers.offer(GetSecretResponse.encode({ data: Buffer.from(value) }).finish());
        return;
      }
      case "CheckAgent":
        if (client.ssh === undefined) answers.fail(new BuildError(Code.Unimplemented, "unknown service"));
        else answers.offer(new Uint8Array());
        return;
      case "ForwardAgent": {
        const data = Buffer.from(BytesMessage.decode(message).data).toString();
        answers.offer(BytesMessage.encode({ data: Buffer.from(client.ssh?.(sshId, data) ?? "") }).finish());
      }
    }
  };
  return {
    send: async (message) => receive(message),
    closeSend: () => answers.end(),
    messages: answers,
    cancel: () => answers.end(),
    [Symbol.asyncDispose]: async () => answers.end(),
  };
}
