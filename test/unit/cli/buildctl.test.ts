import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { createProgram } from "../../../src/cli/program.ts";

function start(args: readonly string[], signal = new AbortController().signal) {
  const [stdin, stdout] = [new PassThrough(), new PassThrough()];
  const stderr = new Writable({ write: (_chunk, _encoding, done) => done() });
  const program = createProgram({ signal, stdin, stdout, stderr });
  const ended = program.parseAsync(["buildctl", ...args], { from: "user" }).finally(() => stdout.end());
  ended.catch(() => {});
  return { stdin, stdout, ended };
}

/** A server on a socket; what it does with a connection is the test's. */
async function withServer(serve: (socket: Socket) => void, use: (address: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "dial-"));
  const server = createServer({ allowHalfOpen: true }, serve);
  try {
    const path = join(directory, "daemon.sock");
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await use(`unix://${path}`);
  } finally {
    server.close();
    await rm(directory, { recursive: true, force: true });
  }
}

describe("buildctl", () => {
  it("tells its version in four words, the third that of the API", async () => {
    const { stdout, ended } = start(["--version"]);
    await assert.rejects(ended, { code: "commander.version" });
    assert.match(await text(stdout), /^buildctl \S+ v\d+\.\d+\.\d+ \S+\n$/);
  });

  for (const [args, message] of [
    [["dump"], /unknown command "dump": see buildfleet buildctl --help/],
    [["debug", "dump"], /unknown command "dump": see buildfleet buildctl debug --help/],
    [["debug", "dump-metadata"], /dump-metadata is not supported/],
    [["debug", "get"], /blob digest must be specified/],
    [["debug", "logs"], /build ref must be specified/],
    [["debug", "ctl", "ref"], /must specify one of --pin, --unpin, --delete/],
    [["debug", "ctl", "ref", "--pin", "--delete"], /cannot specify --delete with --pin or --unpin/],
    [["du", "--format", "{{index . 0}}"], /template: function "index" is not supported/],
    [["--addr", "unix:///no/such.sock", "debug", "workers"], /cannot connect to unix:\/\/\/no\/such\.sock/],
    [["--addr", "unix:///no/such.sock", "prune-histories"], /cannot connect to unix:\/\/\/no\/such\.sock/],
    [["--addr", "unix:///no/such.sock", "dial-stdio"], /cannot connect to unix:\/\/\/no\/such\.sock/],
    [["--addr", "tcp://127.0.0.1:1", "dial-stdio"], /invalid address tcp:.*dial-stdio expects unix:/],
  ] as const) {
    it(`refuses ${args.join(" ")}`, async () => {
      await assert.rejects(start(args).ended, message);
    });
  }
});

describe("buildctl dial-stdio", () => {
  it("passes bytes on in both directions, and the answer after the last request", async () => {
    const answer = Buffer.alloc(1 << 20, "answer");
    const serve = (socket: Socket) => text(socket).then((request) => socket.end(request === "request" ? answer : ""));
    await withServer(serve, async (address) => {
      const { stdin, stdout, ended } = start(["--addr", address, "dial-stdio"]);
      const received = text(stdout);
      stdin.end("request");
      await ended;
      assert.equal(await received, answer.toString());
    });
  });

  it("ends with the daemon, whoever still holds its stdin", async () => {
    await withServer(
      (socket) => socket.end("bye"),
      async (address) => {
        const { stdin, stdout, ended } = start(["--addr", address, "dial-stdio"]);
        const received = text(stdout);
        await ended;
        assert.equal(await received, "bye");
        assert.ok(stdin.destroyed);
      },
    );
  });

  it("ends when it is told to", async () => {
    const abort = new AbortController();
    await withServer(
      (socket) => socket.on("error", () => {}).write("hello"),
      async (address) => {
        const { stdout, ended } = start(["--addr", address, "dial-stdio"], abort.signal);
        stdout.once("data", () => abort.abort(new Error("told to")));
        await assert.rejects(ended);
      },
    );
  });
});
