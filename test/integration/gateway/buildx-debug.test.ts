import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { AsyncQueue } from "../../../src/util/async-queue.ts";
import { Sandbox } from "../../helpers/sandbox/index.ts";
import { TerminalSession } from "../../helpers/terminal-session.ts";

const experimental = { ...process.env, BUILDX_EXPERIMENTAL: "1" };
const helpOf = (command: string): string =>
  spawnSync("docker-buildx", [command, "--help"], { env: experimental, encoding: "utf8" }).stdout ?? "";
// buildx 0.13 has `debug --invoke`, and opens no shell where a step failed.
const skip = !/debug adapter/.test(helpOf("dap")) && "no docker-buildx with a debug adapter is on the PATH";

describe("buildx's debugger", { skip }, () => {
  let sandbox: Sandbox;
  let env: NodeJS.ProcessEnv;
  let context: string;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, namespaces: true });
    env = { ...experimental, BUILDX_CONFIG: join(sandbox.root, "buildx") };
    context = join(sandbox.root, "context");
    await mkdir(context);
    const address = sandbox.heads[0]?.address ?? "";
    execFileSync("docker-buildx", ["create", "--name", "fleet", "--driver", "remote", address], { env });
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  it("opens a shell where a step failed", async () => {
    const steps = "RUN --mount=type=cache,target=/cache echo half > /half; echo kept > /cache/file; exit 4";
    await writeFile(join(context, "Dockerfile"), `FROM ${sandbox.image()}\n${steps}\n`);
    const args = ["--builder", "fleet", "debug", "--invoke", "/bin/sh", "build", "--progress", "plain", context];
    await using session = new TerminalSession("docker-buildx", args, env);
    await session.until("exit code: 4");
    await session.until("Launching interactive container");
    await session.until("/ # ");
    await session.type("cat /half /cache/file; echo $((40+2))\n");
    await session.until(/half\r+\nkept\r+\n42/);
    await session.type("exit 0\n");
    await session.until("(buildx)");
    await session.type("exit\n");
    assert.equal(await session.exited, 1);
  });

  it("stops an editor where a step failed", async () => {
    await writeFile(join(context, "Dockerfile"), `FROM ${sandbox.image()}\nRUN echo half > /half; exit 5\n`);
    await using editor = new Editor(["--builder", "fleet", "dap", "build", context], env);
    await editor.ask("initialize", { adapterID: "buildx" });
    await editor.ask("launch", { builder: "fleet", dockerfile: join(context, "Dockerfile"), contextPath: context });
    await editor.ask("configurationDone");
    const stopped = await editor.next("stopped");
    assert.equal(stopped.body?.["reason"], "exception");
    const { body } = await editor.ask("stackTrace", { threadId: stopped.body?.["threadId"] });
    const [frame] = (body?.["stackFrames"] ?? []) as { readonly line: number; readonly name: string }[];
    assert.deepEqual([frame?.line, frame?.name], [2, "[2/2] RUN echo half > /half; exit 5"]);
  });
});

interface DapMessage {
  readonly type: "request" | "response" | "event";
  readonly command?: string;
  readonly event?: string;
  readonly success?: boolean;
  readonly message?: string;
  readonly body?: Readonly<Record<string, unknown>>;
}

/** An editor that speaks to a debug adapter over its stdin and stdout. */
class Editor implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #messages = new AsyncQueue<DapMessage>();
  readonly #unread = this.#messages[Symbol.asyncIterator]();
  #received = Buffer.alloc(0);
  #requests = 0;

  constructor(args: readonly string[], env: NodeJS.ProcessEnv) {
    this.#child = spawn("docker-buildx", args, { env });
    this.#child.stdout.on("data", (data: Buffer) => this.#receive(data));
    this.#child.once("exit", () => this.#messages.end());
  }

  async ask(command: string, values: object = {}): Promise<DapMessage> {
    const text = JSON.stringify({ seq: ++this.#requests, type: "request", command, arguments: values });
    this.#child.stdin.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
    const answer = await this.next(command);
    assert.equal(answer.success, true, answer.message);
    return answer;
  }

  /** The next event or message of a command; others are passed over. */
  async next(name: string): Promise<DapMessage> {
    for (;;) {
      const { value, done } = await this.#unread.next();
      if (done) throw new Error(`the debug adapter ended without ${name}`);
      if (value.event === name || value.command === name) return value;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }

  #receive(data: Buffer): void {
    this.#received = Buffer.concat([this.#received, data]);
    for (;;) {
      const end = this.#received.indexOf("\r\n\r\n");
      const length = Number(/Content-Length: (\d+)/.exec(this.#received.subarray(0, Math.max(end, 0)).toString())?.[1]);
      if (end === -1 || this.#received.length < end + 4 + length) return;
      this.#messages.offer(JSON.parse(this.#received.subarray(end + 4, end + 4 + length).toString()));
      this.#received = this.#received.subarray(end + 4 + length);
    }
  }
}
