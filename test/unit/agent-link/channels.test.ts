import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AgentLinkClient, AgentLinkServer, type ChannelAccess, LocalChannels } from "../../../src/agent-link/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import type { TaskChannel, TaskChannels } from "../../../src/core/seams/task-channel.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);
const never = new AbortController().signal;

type Serve = (name: string, channel: TaskChannel, signal: AbortSignal) => Promise<void>;

function access(serve: Serve): ChannelAccess {
  return {
    serve: async (token, name, channel, signal) => {
      if (token !== "good") throw new BuildError(Code.PermissionDenied, "token opens no channel");
      await serve(name, channel, signal);
    },
  };
}

const kinds: Readonly<
  Record<string, (serve: Serve, use: (open: (token: string) => TaskChannels) => Promise<void>) => Promise<void>>
> = {
  "in process": (serve, use) => use((token) => new LocalChannels(access(serve), token)),
  "over AgentLink": async (serve, use) => {
    await using server = new AgentLinkServer({
      logger: silentLogger,
      access: { open: () => Promise.reject(new Error("no sessions")) },
      channels: access(serve),
    });
    const port = await server.listen("127.0.0.1:0");
    using client = new AgentLinkClient();
    await use((token) => client.channels(`127.0.0.1:${port}`, token));
  },
};

for (const [kind, run] of Object.entries(kinds)) {
  describe(`channels of a task ${kind}`, () => {
    it("carry messages both ways until both have said all", () =>
      run(
        async (name, channel) => {
          await channel.send(bytes(name));
          for await (const message of channel.messages) await channel.send(bytes(`${text(message)}!`));
          await channel.send(bytes("bye"));
        },
        async (open) => {
          await using channel = open("good").open("a name", { signal: never });
          await channel.send(bytes("one"));
          await channel.send(bytes("two"));
          channel.closeSend();
          const heard: string[] = [];
          for await (const message of channel.messages) heard.push(text(message));
          assert.deepEqual(heard, ["a name", "one!", "two!", "bye"]);
        },
      ));

    it("hold a sender back while the other end does not read", () =>
      run(
        async (_, channel) => {
          await channel.send(bytes("ready"));
          await new Promise(() => {});
        },
        async (open) => {
          await using channel = open("good").open("x", { signal: never });
          let sent = 0;
          const sending = (async () => {
            for (; sent < 1000; sent++) await channel.send(new Uint8Array(256 << 10));
          })();
          sending.catch(() => {});
          for await (const message of channel.messages) {
            assert.equal(text(message), "ready");
            break;
          }
          // A sender that does not wait is through with all of it by then.
          for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
          assert.ok(sent < 200, `${sent} messages were taken`);
        },
      ));

    it("are closed to other tokens, and tell errors", () =>
      run(
        async () => {
          throw new BuildError(Code.FailedPrecondition, "no luck");
        },
        async (open) => {
          const read = async (token: string) => {
            await using channel = open(token).open("x", { signal: never });
            for await (const _ of channel.messages) assert.fail("no message is expected");
          };
          await assert.rejects(read("bad"), { code: Code.PermissionDenied, message: "token opens no channel" });
          await assert.rejects(read("good"), { code: Code.FailedPrecondition, message: "no luck" });
        },
      ));

    it("end on both sides when the agent aborts", async () => {
      const ended = Promise.withResolvers<unknown>();
      const abort = new AbortController();
      await run(
        async (_, channel, signal) => {
          signal.addEventListener("abort", () => ended.resolve(signal.reason));
          await channel.send(bytes("ready"));
          await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
        },
        async (open) => {
          await using channel = open("good").open("x", { signal: abort.signal });
          const reading = (async () => {
            for await (const _ of channel.messages) abort.abort(new Error("enough"));
          })();
          await assert.rejects(reading, { message: "enough" });
          assert.ok((await ended.promise) instanceof BuildError);
        },
      );
    });
  });
}
