import { readFileSync } from "node:fs";
import { Duplex } from "node:stream";
import * as gateway from "../../../src/api/gen/gateway.ts";
import { Definition, Mount } from "../../../src/api/gen/ops.ts";
import { GrpcClient, type MessageCodec } from "../../../src/grpc/index.ts";
import { FileAction, marshalState, type State, scratch, stateFromDefinition } from "../../../src/llb/builder/index.ts";

/*
 * A frontend for tests, bundled and run as an image: speaks LLBBridge over its stdin and stdout, as gateway.v0 wants it. What it
 * does is in its opt `do`.
 */
const opts = Object.fromEntries(
  Object.entries(process.env)
    .filter(([name]) => name.startsWith("BUILDKIT_FRONTEND_OPT_"))
    .map(([, value = ""]) => [value.slice(0, value.indexOf("=")), value.slice(value.indexOf("=") + 1)]),
);
const bridge = new GrpcClient(Duplex.from({ readable: process.stdin, writable: process.stdout }));

function call<Req, Res>(name: string, request: MessageCodec<Req>, response: MessageCodec<Res>, message: Req) {
  return bridge.unary(`/moby.buildkit.v1.frontend.LLBBridge/${name}`, request, response, message);
}

async function solve(request: Parameters<typeof gateway.SolveRequest.fromPartial>[0]): Promise<string> {
  const message = gateway.SolveRequest.fromPartial({ ...request, allowResultReturn: true, allowResultArrayRef: true });
  const { result } = await call("Solve", gateway.SolveRequest, gateway.SolveResponse, message);
  return result?.result?.$case === "ref" ? result.result.value.id : "";
}

async function answer(result: Parameters<typeof gateway.ReturnRequest.fromPartial>[0]): Promise<void> {
  await call("Return", gateway.ReturnRequest, gateway.ReturnResponse, gateway.ReturnRequest.fromPartial(result));
}

async function answerFiles(files: Readonly<Record<string, string>>): Promise<void> {
  let state: State = scratch();
  for (const [path, text] of Object.entries(files)) state = state.file(FileAction.none.mkfile(path, 0o644, text));
  const ref = await solve({ Definition: marshalState(state) });
  await answer({ result: { result: { $case: "ref", value: { id: ref } }, metadata: { kind: Buffer.from("test") } } });
}

const actions: Readonly<Record<string, () => Promise<unknown>>> = {
  describe: async () => {
    const { LLBCaps: llb, FrontendAPICaps: api } = await call("Ping", gateway.PingRequest, gateway.PongResponse, {});
    const own = Definition.decode(readFileSync("/run/config/buildkit/metadata/frontend.bin"));
    console.error("I describe myself");
    await answerFiles({
      "/opts": JSON.stringify(opts),
      "/workers": process.env["BUILDKIT_WORKERS"] ?? "",
      "/env": `${process.env["MY_IMAGE"]} ${process.cwd()} ${process.env["BUILDKIT_EXPORTEDPRODUCT"]}`,
      "/caps": [...llb, ...api].map(({ ID: id }) => id).join("\n"),
      "/own": String(own.def.length),
      "/network": readFileSync("/proc/net/dev", "utf8"),
    });
  },
  nested: async () => {
    const { Definitions: inputs } = await call("Inputs", gateway.InputsRequest, gateway.InputsResponse, {});
    const input = inputs["in"];
    if (input === undefined) throw new Error("no input");
    const ref = await solve({
      Frontend: "dockerfile.v0",
      FrontendOpt: { "context:base": "input:base" },
      FrontendInputs: {
        base: marshalState(stateFromDefinition(input)),
        dockerfile: marshalState(
          scratch().file(FileAction.none.mkfile("/Dockerfile", 0o644, "FROM base\nCOPY --from=base /file /copied\n")),
        ),
        context: marshalState(scratch().file(FileAction.none.mkdir("/none", 0o755))),
      },
    });
    await answer({ result: { result: { $case: "ref", value: { id: ref } } } });
  },
  exec: async () => {
    const image = await call(
      "ResolveImageConfig",
      gateway.ResolveImageConfigRequest,
      gateway.ResolveImageConfigResponse,
      {
        ...gateway.ResolveImageConfigRequest.fromPartial({ Ref: opts["image"] ?? "" }),
      },
    );
    const { Definitions: inputs } = await call("Inputs", gateway.InputsRequest, gateway.InputsResponse, {});
    const root = await solve({ Definition: inputs["in"] ?? Definition.fromPartial({}) });
    const container = gateway.NewContainerRequest.fromPartial({
      ContainerID: "c",
      Mounts: [Mount.fromPartial({ dest: "/", resultID: root })],
    });
    await call("NewContainer", gateway.NewContainerRequest, gateway.NewContainerResponse, container);
    const stream = bridge.open("/moby.buildkit.v1.frontend.LLBBridge/ExecProcess");
    const init = gateway.InitMessage.fromPartial({ ContainerID: "c", Meta: { args: ["/bin/cat", "/file"] }, Fds: [1] });
    const message = { ProcessID: "p", input: { $case: "Init" as const, value: init } };
    await stream.send(gateway.ExecMessage.encode(message).finish());
    stream.closeSend();
    let text = "";
    for await (const bytes of stream.messages) {
      const { input } = gateway.ExecMessage.decode(bytes);
      if (input?.$case === "File") text += Buffer.from(input.value.Data).toString();
    }
    await answerFiles({ "/said": text, "/digest": image.Digest });
  },
  refuse: () => answer({ error: { code: 9, message: "I will not", details: [] } }),
  crash: async () => {
    console.error("I give up");
    process.exit(3);
  },
  crashAfterReturn: async () => {
    await answerFiles({ "/file": "x" });
    process.exit(4);
  },
  leave: async () => {},
  flood: async () => {
    await new Promise(() => {
      const line = Buffer.alloc(64 << 10, "garbage ");
      const write = () => process.stdout.write(line, write);
      write();
    });
  },
  hang: () => new Promise(() => setInterval(() => {}, 1000)),
};

await actions[opts["do"] ?? ""]?.();
process.exit(0);
