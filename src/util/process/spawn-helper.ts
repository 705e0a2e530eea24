import { spawn } from "node:child_process";
import { closeSync, constants, openSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { dirname } from "node:path";
import type { Readable } from "node:stream";
import { encodeFrame, encodeFrameHeader, FrameReader, FrameType, type SpawnRequest } from "./frames.ts";

/*
 * The process that starts processes. Spawning stalls a Node process in proportion to its memory; this one stays small.
 * Started by ProcessSpawner with the path of a unix socket; says so on stdout once it listens and ends when its stdin does,
 * which is when the agent is gone. A connection that closes early takes its child with it, and so does the end.
 */
const children = new Set<ReturnType<typeof spawn>>();

function serve(connection: Socket): void {
  const reader = new FrameReader();
  let child: ReturnType<typeof spawn> | undefined;

  const finish = (type: number, value: unknown) => connection.end(encodeFrame(type, JSON.stringify(value)));

  const forward = (stream: Readable, type: number) => {
    stream.on("data", (data: Buffer) => {
      connection.cork();
      connection.write(encodeFrameHeader(type, data.length));
      const roomy = connection.write(data);
      connection.uncork();
      if (!roomy) stream.pause();
    });
    connection.on("drain", () => stream.resume());
    stream.on("error", () => {});
  };

  const start = (request: SpawnRequest) => {
    const [command = "", ...args] = request.argv;
    const terminal =
      request.terminal === "" ? undefined : openSync(request.terminal, constants.O_RDWR | constants.O_NOCTTY);
    const started = spawn(command, args, {
      env: request.env,
      cwd: request.cwd,
      stdio:
        terminal === undefined ? [request.stdin ? "pipe" : "ignore", "pipe", "pipe"] : [terminal, terminal, terminal],
    });
    if (terminal !== undefined) closeSync(terminal);
    child = started;
    started.on("error", (error: NodeJS.ErrnoException) => {
      if (started.pid === undefined) {
        finish(FrameType.Failed, { errno: error.code ?? "", message: error.message });
      }
    });
    children.add(started);
    started.on("exit", () => children.delete(started));
    started.on("close", (code, signal) => {
      if (started.pid !== undefined) finish(FrameType.Exited, { code, signal });
    });
    if (started.pid === undefined) return;
    connection.write(encodeFrame(FrameType.Started, String(started.pid)));
    // A child may close its stdin while we still write to it.
    started.stdin?.on("error", () => connection.resume());
    started.stdin?.on("drain", () => connection.resume());
    if (started.stdout !== null) forward(started.stdout, FrameType.Stdout);
    if (started.stderr !== null) forward(started.stderr, FrameType.Stderr);
  };

  connection.on("data", (chunk) => {
    for (const frame of reader.push(chunk)) {
      if (frame.type === FrameType.Request) start(JSON.parse(frame.payload.toString()) as SpawnRequest);
      else if (frame.type === FrameType.Stdin) {
        if (child?.stdin?.writable && !child.stdin.write(frame.payload)) connection.pause();
      } else if (frame.type === FrameType.StdinEnd) child?.stdin?.end();
    }
  });
  connection.on("error", () => {});
  connection.on("close", () => {
    if (child !== undefined && child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  });
}

const socketPath = process.argv[2] ?? "";
createServer(serve).listen(socketPath, () => process.stdout.write("listening\n"));
process.stdin.on("end", () => {
  // An agent that was killed cannot tidy up.
  for (const child of children) child.kill("SIGKILL");
  rmSync(dirname(socketPath), { recursive: true, force: true });
  process.exit(0);
});
process.stdin.resume();
