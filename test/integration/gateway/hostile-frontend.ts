import { Duplex } from "node:stream";
import * as gateway from "../../../src/api/gen/gateway.ts";
import { Mount } from "../../../src/api/gen/ops.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { GrpcClient, type MessageCodec } from "../../../src/grpc/index.ts";
import { FileAction, image, marshalState, type State, scratch } from "../../../src/llb/builder/index.ts";

/*
 * A frontend that means harm, run as an image: what it does is in its opt `do`. Those that are answered tell what they were
 * answered with, in the error with which they end.
 */
const opts = Object.fromEntries(
  Object.entries(process.env)
    .filter(([name]) => name.startsWith("BUILDKIT_FRONTEND_OPT_"))
    .map(([, value = ""]) => [value.slice(0, value.indexOf("=")), value.slice(value.indexOf("=") + 1)]),
);
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const settings = frame(4, 0, 0, Buffer.alloc(0));
const forever = () => new Promise<never>(() => setInterval(() => {}, 1000));
let client: GrpcClient | undefined;

function bridge(): GrpcClient {
  client ??= new GrpcClient(Duplex.from({ readable: process.stdin, writable: process.stdout }));
  return client;
}

/** RFC 9113, 4.1. */
function frame(type: number, flags: number, stream: number, payload: Uint8Array, length = payload.length): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

function write(bytes: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => process.stdout.write(bytes, () => resolve()));
}

const method = (name: string) => `/moby.buildkit.v1.frontend.LLBBridge/${name}`;

function call<Req, Res>(name: string, request: MessageCodec<Req>, response: MessageCodec<Res>, message: Req) {
  return bridge().unary(method(name), request, response, message);
}

async function solve(state: State | undefined, more: object = {}): Promise<string> {
  const request = gateway.SolveRequest.fromPartial({
    ...(state === undefined ? {} : { Definition: marshalState(state) }),
    allowResultReturn: true,
    allowResultArrayRef: true,
    ...more,
  });
  const { result } = await call("Solve", gateway.SolveRequest, gateway.SolveResponse, request);
  return result?.result?.$case === "ref" ? result.result.value.id : "";
}

const stat = (Ref: string, Path: string) =>
  call(
    "StatFile",
    gateway.StatFileRequest,
    gateway.StatFileResponse,
    gateway.StatFileRequest.fromPartial({ Ref, Path }),
  );
const read = async (Ref: string, FilePath: string) => {
  const request = gateway.ReadFileRequest.fromPartial({ Ref, FilePath });
  const { Data } = await call("ReadFile", gateway.ReadFileRequest, gateway.ReadFileResponse, request);
  return Buffer.from(Data).toString();
};
const list = async (Ref: string, DirPath: string) => {
  const request = gateway.ReadDirRequest.fromPartial({ Ref, DirPath });
  const { entries } = await call("ReadDir", gateway.ReadDirRequest, gateway.ReadDirResponse, request);
  return entries.map(({ path }) => path);
};
const container = (ContainerID: string, mount: object) =>
  call(
    "NewContainer",
    gateway.NewContainerRequest,
    gateway.NewContainerResponse,
    gateway.NewContainerRequest.fromPartial({ ContainerID, Mounts: [Mount.fromPartial({ dest: "/", ...mount })] }),
  );
const give = (request: object) =>
  call("Return", gateway.ReturnRequest, gateway.ReturnResponse, gateway.ReturnRequest.fromPartial(request));

/** What became of it: its answer, or the error. */
async function outcome(work: Promise<unknown>): Promise<unknown> {
  return work.catch((error: unknown) => `! ${BuildError.from(error).message.slice(0, 300)}`);
}

const tell = (told: unknown) => give({ error: { code: 9, message: `told ${JSON.stringify(told)}`, details: [] } });

/** Raw bytes as a message. @returns the error it is refused with */
async function send(name: string, bytes: Uint8Array): Promise<string> {
  await using stream = bridge().open(method(name));
  stream.send(bytes).catch(() => {});
  stream.closeSend();
  try {
    for await (const _ of stream.messages);
    return "taken";
  } catch (error) {
    return BuildError.from(error).message;
  }
}

/** Messages of one ExecProcess call. @returns what it ends with */
async function exec(inputs: readonly object[]): Promise<string> {
  await using stream = bridge().open(method("ExecProcess"));
  const sent = (async () => {
    for (const input of inputs)
      await stream.send(gateway.ExecMessage.encode(gateway.ExecMessage.fromPartial(input)).finish());
    stream.closeSend();
  })();
  sent.catch(() => {});
  let last = "nothing";
  try {
    for await (const bytes of stream.messages) {
      const { input } = gateway.ExecMessage.decode(bytes);
      if (input?.$case === "Exit") last = `exit ${input.value.Code} ${input.value.Error?.message ?? ""}`;
    }
    return last;
  } catch (error) {
    return `! ${BuildError.from(error).message}`;
  }
}

const init = (ContainerID: string, args: string[], more: object = {}) => ({
  ProcessID: "p",
  input: { $case: "Init", value: { ContainerID, Meta: { args, env: ["PATH=/bin"], cwd: "/" }, Fds: [0, 1], ...more } },
});

const actions: Readonly<Record<string, () => Promise<unknown>>> = {
  garbage: async () => {
    for (;;) await write(Buffer.alloc(1 << 20, "garbage "));
  },
  frames: async () => {
    await write(preface);
    await write(settings);
    for (;;) await write(frame(255, 255, 0x7fffffff, Buffer.alloc(16_000, 1)));
  },
  hugeFrame: async () => {
    await write(preface);
    await write(settings);
    await write(frame(0, 0, 1, Buffer.alloc(100_000), 0xffffff));
    await forever();
  },
  headers: async () => {
    await write(preface);
    await write(settings);
    // HEADERS without END_HEADERS, and CONTINUATION without end.
    await write(frame(1, 0, 1, Buffer.alloc(16_000)));
    for (;;) await write(frame(9, 0, 1, Buffer.alloc(16_000)));
  },
  resets: async () => {
    await write(preface);
    await write(settings);
    // `:method: POST`, `:scheme: http`, `:path: /` from the static table, and at once RST_STREAM.
    for (let stream = 1; ; stream += 2) {
      await write(frame(1, 5, stream, Buffer.from([0x83, 0x86, 0x84])));
      await write(frame(3, 0, stream, Buffer.from([0, 0, 0, 8])));
    }
  },
  pings: async () => {
    await write(preface);
    await write(settings);
    for (;;) await write(Buffer.concat(Array.from({ length: 1000 }, () => frame(6, 0, 0, Buffer.alloc(8)))));
  },
  stderr: async () => {
    for (let sent = 0; sent < 200; sent++) {
      await new Promise<void>((resolve) => process.stderr.write(Buffer.alloc(1 << 20, "noise\n"), () => resolve()));
    }
    await tell("done");
  },
  hang: async () => {
    for (const name of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(name, () => {});
    await forever();
  },
  messages: async () => {
    const names = ["Solve", "ResolveImageConfig", "ReadFile", "ReadDir", "StatFile", "Return", "NewContainer", "Warn"];
    const told = [];
    for (const name of [...names, "ExecProcess", "Inputs", "Evaluate"]) {
      told.push(await send(name, Buffer.alloc(1000, 0xff)));
    }
    told.push(await send("Solve", Buffer.alloc(40 << 20)), await send("Nothing", new Uint8Array(0)));
    await tell(told);
  },
  escapes: async () => {
    const links = scratch().file(
      FileAction.none
        .mkfile("/file", 0o644, "inside")
        .symlink("/etc/passwd", "/absolute")
        .symlink("../../../../../../etc/passwd", "/relative")
        .symlink("/", "/root")
        .symlink("/loop", "/loop")
        .symlink("/proc/1/root/etc/passwd", "/proc"),
    );
    const ref = await solve(links);
    const paths = ["../../../etc/passwd", "/../../etc/passwd", "/absolute", "/relative", "/root/etc/passwd", "/loop"];
    const told = [];
    for (const path of [...paths, "/proc", "a\0b", "", "/".repeat(100_000)]) {
      told.push(await outcome(read(ref, path)), await outcome(list(ref, path)));
    }
    told.push(await outcome(stat(ref, "/absolute")), await outcome(read(ref, "/root/root/root/file")));
    await tell(told);
  },
  foreign: async () => {
    const other = opts["other"] ?? "";
    await tell([
      await outcome(read(other, "/secret")),
      await outcome(container("c", { resultID: other })),
      await outcome(give({ result: { result: { $case: "ref", value: { id: other } } } })),
      await outcome(call("Evaluate", gateway.EvaluateRequest, gateway.EvaluateResponse, { Ref: other })),
      // The build that the metadata names is not looked at: this connection has one of its own.
      await outcome(
        bridge().unary(
          method("ReadFile"),
          gateway.ReadFileRequest,
          gateway.ReadFileResponse,
          gateway.ReadFileRequest.fromPartial({ Ref: other, FilePath: "/secret" }),
          { metadata: { "buildkit-controlapi-buildid": [opts["build"] ?? ""] } },
        ),
      ),
    ]);
  },
  returnsTwice: async () => {
    await tell("first");
    process.stderr.write(`second: ${await outcome(tell("second"))}\n`);
  },
  processes: async () => {
    const ref = await solve(image(opts["image"] ?? ""));
    // The first process of a container is its last.
    let containers = 0;
    const inNew = async (inputs: (id: string) => readonly object[]) => {
      const id = `c${containers++}`;
      await container(id, { resultID: ref });
      return exec(inputs(id));
    };
    const file = (Fd: number) => ({ ProcessID: "p", input: { $case: "File", value: { Fd, Data: Buffer.from("x") } } });
    const resize = { ProcessID: "p", input: { $case: "Resize", value: { Rows: 0x7fffffff, Cols: 0xffffffff } } };
    const end = { ProcessID: "p", input: { $case: "File", value: { Fd: 0, EOF: true, Data: Buffer.alloc(0) } } };
    const signal = (Name: string) => ({ ProcessID: "p", input: { $case: "Signal", value: { Name } } });
    await tell([
      await inNew(() => [{ ProcessID: "", input: undefined }]),
      await inNew(() => [file(0)]),
      await inNew(() => [init("nothing", ["true"])]),
      await inNew((id) => [init(id, ["cat"]), init(id, ["cat"])]),
      await inNew((id) => [init(id, ["cat"]), file(7)]),
      await inNew((id) => [init(id, ["cat"], { Fds: [0, 1, 99, 0xffffffff] }), end]),
      await inNew((id) => [
        init(id, ["sleep", "1000"], { Tty: true, Fds: [0, 1, 2] }),
        ...Array<object>(10_000).fill(resize),
        signal("SIGKILL"),
      ]),
      await inNew((id) => [init(id, ["cat"]), signal("SIGNONSENSE")]),
      await inNew((id) => [init(id, []), end]),
      await inNew((id) => [init(id, ["cat"], { Security: 7 }), end]),
      await outcome(container("c0", { resultID: ref })),
      await outcome(
        call("ReleaseContainer", gateway.ReleaseContainerRequest, gateway.ReleaseContainerResponse, {
          ContainerID: "no",
        }),
      ),
    ]);
  },
  crowd: async () => {
    const ref = await solve(scratch().file(FileAction.none.mkfile("/file", 0o644, "x")));
    const answers = await Promise.all(Array.from({ length: 500 }, () => stat(ref, "/file")));
    const solved = await Promise.all(Array.from({ length: 500 }, () => solve(scratch())));
    await tell([answers.length, solved.length]);
  },
  endless: async () => {
    for (;;) {
      const file = FileAction.none.mkfile("/file", 0o644, Buffer.alloc(1 << 20));
      await Promise.all(Array.from({ length: 100 }, () => outcome(solve(scratch().file(file)))));
    }
  },
  manyOps: async () => {
    let state = scratch();
    for (let i = 0; i < 10_000; i++) state = state.file(FileAction.none.mkdir(`/${i}`, 0o755));
    const ref = await outcome(solve(state));
    await tell([typeof ref, ref === "" || String(ref).startsWith("!") ? ref : "taken"]);
  },
  itself: async () => {
    const FrontendOpt = { ...opts, depth: String(Number(opts["depth"] ?? 0) + 1) };
    await solve(undefined, { Frontend: "gateway.v0", FrontendOpt });
  },
};

await actions[opts["do"] ?? ""]?.().catch(async (error: unknown) => {
  await give({ error: { code: 9, message: BuildError.from(error).message, details: [] } });
});
process.exit(0);
