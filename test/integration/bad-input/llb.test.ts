import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { InfoRequest, InfoResponse, SolveRequest, SolveResponse } from "../../../src/api/gen/control.ts";
import { Definition, Op, OpMetadata } from "../../../src/api/gen/ops.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import { connectGrpc } from "../../../src/grpc/index.ts";
import { FileAction, image, local, marshalState, scratch } from "../../../src/llb/builder/index.ts";
import { type BuildClient, Sandbox } from "../../helpers/sandbox/index.ts";

const control = "/moby.buildkit.v1.Control";
const bridge = "/moby.buildkit.v1.frontend.LLBBridge";

/** Methods by their full names: all that takes a message. */
const methods = [
  ...["Solve", "Status", "Info", "ListWorkers", "DiskUsage", "Prune", "ListenBuildHistory", "UpdateBuildHistory"].map(
    (name) => `${control}/${name}`,
  ),
  ...[
    "Solve",
    "ResolveImageConfig",
    "ResolveSourceMeta",
    "ReadFile",
    "ReadDir",
    "StatFile",
    "Evaluate",
    "Ping",
    "Return",
  ]
    .concat(["Inputs", "NewContainer", "ReleaseContainer", "ExecProcess", "Warn"])
    .map((name) => `${bridge}/${name}`),
  "/grpc.health.v1.Health/Check",
  "/containerd.services.content.v1.Content/Info",
  "/containerd.services.content.v1.Content/Read",
];

describe("input that makes no sense", () => {
  let sandbox: Sandbox;
  let client: BuildClient;

  before(async () => {
    sandbox = await Sandbox.start({ standalone: true });
    client = await sandbox.connect();
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  /** The daemon answers, runs nothing, and builds. */
  async function assertHealthy(): Promise<void> {
    assert.equal(sandbox.heads[0]?.process.running, true);
    await client.control.info(AbortSignal.timeout(30_000));
    await sandbox.idle();
  }

  /** Sends bytes to a method. @returns the error it ends with */
  async function send(method: string, bytes: Uint8Array): Promise<BuildError | undefined> {
    await using call = client.grpc.open(method, { signal: AbortSignal.timeout(60_000) });
    call.send(bytes).catch(() => {});
    call.closeSend();
    try {
      for await (const _ of call.messages);
      return undefined;
    } catch (error) {
      return BuildError.from(error);
    }
  }

  const solve = (request: object) =>
    client.grpc.unary(
      `${control}/Solve`,
      SolveRequest,
      SolveResponse,
      SolveRequest.fromPartial({ Ref: randomBytes(8).toString("hex"), ...request }),
      { signal: AbortSignal.timeout(60_000) },
    );

  async function assertRefused(request: object, code: Code | undefined, message: RegExp): Promise<void> {
    await assert.rejects(solve(request), (error) => {
      assert.ok(error instanceof BuildError);
      assert.match(error.message, message);
      if (code !== undefined) assert.equal(error.code, code);
      return true;
    });
    await assertHealthy();
  }

  it("refuses bytes that are no message, on every method", async () => {
    const garbage = [
      Buffer.from("ff".repeat(20), "hex"),
      // Field 1 with a length beyond the end.
      Buffer.from("0aff01", "hex"),
      // A group that never ends.
      Buffer.from("0b0b0b0b", "hex"),
      Buffer.alloc(1000, 0x80),
    ];
    for (const method of methods) {
      for (const bytes of garbage) {
        const error = await send(method, bytes);
        assert.ok(error !== undefined, `${method} takes ${bytes.toString("hex").slice(0, 20)}`);
        assert.ok(
          new Set<Code>([Code.Internal, Code.InvalidArgument, Code.Unimplemented, Code.NotFound, Code.Unknown]).has(
            error.code,
          ),
          `${method}: ${error.code} ${error.message}`,
        );
      }
    }
    await assertHealthy();
  });

  it("answers empty and unknown calls", async () => {
    assert.equal((await send(`${control}/Nothing`, new Uint8Array()))?.code, Code.Unimplemented);
    assert.equal((await send("/no.such.Service/Method", new Uint8Array()))?.code, Code.Unimplemented);
    assert.ok((await send(`${control}/Solve`, new Uint8Array())) !== undefined);
    assert.ok((await send(`${bridge}/Solve`, new Uint8Array())) !== undefined);
    await assertHealthy();
  });

  it("refuses messages that are too large and goes on", async () => {
    await using other = await connectGrpc(sandbox.heads[0]?.address ?? "");
    await using call = other.open(`${control}/Solve`, { signal: AbortSignal.timeout(60_000) });
    call.send(Buffer.alloc(40 << 20)).catch(() => {});
    call.closeSend();
    await assert.rejects(
      async () => {
        for await (const _ of call.messages);
      },
      (error) => error instanceof BuildError && error.code === Code.ResourceExhausted,
    );
    await assertHealthy();
  });

  it("survives connections that break in the middle of everything", async () => {
    for (let i = 0; i < 20; i++) {
      const other = await connectGrpc(sandbox.heads[0]?.address ?? "");
      const call = other.open(`${control}/Solve`);
      call.send(Buffer.alloc(100_000)).catch(() => {});
      if (i % 2 === 0) other.unary(`${control}/Info`, InfoRequest, InfoResponse, {}).catch(() => {});
      for await (const _ of [0]) other.destroy();
      await other.closed;
    }
    await assertHealthy();
  });

  const encode = (op: object) => Op.encode(Op.fromPartial(op)).finish();
  const definition = (ops: readonly Uint8Array[]) => ({ Definition: Definition.fromPartial({ def: [...ops] }) });
  const pointer = (digest: string, index = 0) => encode({ inputs: [{ digest, index }] });

  it("refuses graphs with holes, loops and nonsense", async () => {
    const source = encode({
      op: { $case: "source", value: { identifier: `docker-image://${sandbox.image()}`, attrs: {} } },
    });
    const missing = `sha256:${"1".repeat(64)}`;
    await assertRefused(definition([pointer(missing)]), undefined, /invalid|missing|not found/i);
    await assertRefused(definition([source, pointer(sha256(source), 7)]), undefined, /index|output/i);
    await assertRefused(definition([Buffer.from("junk")]), undefined, /./);
    await assertRefused(definition([source, encode({})]), undefined, /./);
    await assertRefused(definition([pointer("not a digest")]), undefined, /./);
    // An op cannot name itself, since its digest covers the name: the nearest is one that names a later one.
    const later = encode({
      inputs: [{ digest: sha256(source), index: 0 }],
      op: { $case: "file", value: { actions: [] } },
    });
    await assertRefused(definition([later, source, pointer(sha256(later))]), undefined, /./);
    const unknownOp = Buffer.concat([encode({ inputs: [] }), Buffer.from([0xfa, 0x06, 0x01, 0x00])]);
    await assertRefused(definition([unknownOp, pointer(sha256(unknownOp))]), undefined, /./);
  });

  it("refuses sources it does not know or cannot read", async () => {
    for (const identifier of [
      "gopher://example.com/x",
      "docker-image://",
      "docker-image://UPPER:case",
      "local://",
      "",
      "git://",
    ]) {
      const source = encode({ op: { $case: "source", value: { identifier, attrs: {} } } });
      await assertRefused(definition([source, pointer(sha256(source))]), undefined, /./);
    }
  });

  it("refuses capabilities it does not have", async () => {
    const good = marshalState(image(sandbox.image()));
    const first = sha256(good.def[0] ?? new Uint8Array());
    const metadata = { [first]: OpMetadata.fromPartial({ caps: { "made.up": true } }) };
    await assertRefused({ Definition: { ...good, metadata } }, undefined, /made\.up/);
  });

  it("names the session that a source needs", async () => {
    await assertRefused({ Definition: marshalState(local("nothing")) }, undefined, /session/i);
    await assert.rejects(client.build({ state: local("nothing"), locals: { other: sandbox.root } }), /nothing/);
  });

  it("names missing paths, users and commands", async () => {
    const base = image(sandbox.image());
    await assert.rejects(
      client.build({ state: base.run({ args: ["/no/such/command"] }) }),
      /no\/such\/command|not found|no such file/,
    );
    await assert.rejects(client.build({ state: base.withUser("nobody-here").run({ args: ["true"] }) }), /nobody-here/);
    await assert.rejects(client.build({ state: scratch().file(FileAction.none.copy(base, "/absent", "/")) }), /absent/);
    await assert.rejects(
      client.build({ state: scratch().file(FileAction.none.copy(base, "../../../../etc/shadow", "/")) }),
      /shadow/,
    );
    await assertHealthy();
  });

  it("refuses frontends, exporters and entitlements it does not offer", async () => {
    await assertRefused({ Frontend: "made-up.v0" }, undefined, /made-up/);
    const built = { Definition: marshalState(image(sandbox.image())) };
    await assertRefused({ ...built, Exporters: [{ Type: "made-up", Attrs: {} }] }, undefined, /made-up/);
    await assertRefused({ ...built, Entitlements: ["security.insecure"] }, undefined, /security\.insecure/);
    await assertRefused({ ...built, Cache: { Exports: [{ Type: "made-up", Attrs: {} }] } }, undefined, /made-up/);
  });

  for (const [what, dockerfile, expected] of [
    ["an unknown instruction", "FROM scratch\nFORM nothing\n", /unknown instruction: FORM/],
    ["no FROM", "RUN true\n", /no build stage/],
    ["nothing", "", /empty|no build stage/],
    ["a flag nobody knows", "FROM scratch\nCOPY --made-up=1 a b\n", /made-up/],
    ["a stage that is not there", "FROM scratch\nCOPY --from=nowhere /a /b\n", /nowhere/],
    ["a circle of stages", "FROM b AS a\nFROM a AS b\nCOPY --from=b / /\n", /./],
    ["a name that is no reference", "FROM Not:A:Name\n", /invalid reference|parse/],
    ["bytes that are no text", "FROM scratch\n\u0000\u0001\n", /./],
  ] as const) {
    it(`refuses a Dockerfile with ${what}`, async () => {
      await assert.rejects(client.build({ dockerfile }), (error) => {
        assert.ok(error instanceof BuildError);
        assert.match(error.message, expected);
        return true;
      });
      await assertHealthy();
    });
  }

  it("points at the line of a Dockerfile that is wrong", async () => {
    await assert.rejects(client.build({ dockerfile: "FROM scratch\n\nFORM nothing\n" }), (error) => {
      assert.ok(error instanceof BuildError);
      const source = error.details.find((detail) => detail.typeUrl.includes("errdefs.Source"));
      assert.ok(source !== undefined);
      const text = Buffer.from(source.value).toString();
      assert.match(text, /"line":\s*3/);
      return true;
    });
  });
});
