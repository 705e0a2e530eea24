import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import type { SolveRequest as BridgeSolve } from "../../../src/api/gen/gateway.ts";
import * as gateway from "../../../src/api/gen/gateway.ts";
import type { Definition } from "../../../src/api/gen/ops.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { FileAction, image, marshalState, scratch } from "../../../src/llb/builder/index.ts";
import { type BuildClient, directoryOutput, Sandbox, waitFor } from "../../helpers/sandbox/index.ts";
import { pushFrontendImage } from "./frontend-image.ts";
import { GatewayBuild } from "./gateway-build.ts";

describe("frontend images on a fleet", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let frontend: string;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2 });
    client = await sandbox.connect();
    frontend = sandbox.image("frontend:latest");
    await pushFrontendImage(frontend, {
      "moby.buildkit.frontend.network.none": "true",
      "moby.buildkit.frontend.caps": "moby.buildkit.frontend.inputs,moby.buildkit.frontend.extra",
    });
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  type Inputs = Readonly<Record<string, Definition>>;
  const request = (action: string, opts: Readonly<Record<string, string>> = {}, inputs: Inputs = {}) =>
    gateway.SolveRequest.fromPartial({
      Frontend: "gateway.v0",
      FrontendOpt: { source: frontend, do: action, ...opts },
      FrontendInputs: inputs,
      allowResultReturn: true,
      allowResultArrayRef: true,
    });
  const solve = async (build: GatewayBuild, message: BridgeSolve) => {
    const { result } = await build.call("Solve", gateway.SolveRequest, gateway.SolveResponse, message);
    assert.equal(result?.result?.$case, "ref");
    const Ref = result.result.$case === "ref" ? result.result.value.id : "";
    const read = async (FilePath: string) => {
      const file = { Ref, FilePath, Range: undefined, MountIndex: 0 };
      const { Data: data } = await build.call("ReadFile", gateway.ReadFileRequest, gateway.ReadFileResponse, file);
      return Buffer.from(data).toString();
    };
    return { result, read };
  };

  it("run with their image's settings, the request's opts and no network", async () => {
    await using build = new GatewayBuild(client.grpc);
    const { result, read } = await solve(build, request("describe", { "build-arg:X": "a=b" }));
    assert.equal(Buffer.from(result.metadata["kind"] ?? []).toString(), "test");
    assert.deepEqual(JSON.parse(await read("/opts")), { source: frontend, do: "describe", "build-arg:X": "a=b" });
    assert.equal(await read("/env"), "mine /frontend buildkit");
    const [worker] = JSON.parse(await read("/workers"));
    assert.equal(worker.platforms[0].os, "linux");
    assert.match(await read("/caps"), /^gateway\.exec$/m);
    assert.equal(await read("/own"), "2");
    assert.doesNotMatch(await read("/network"), /eth|en[ps]/);
  });

  it("are named by the syntax line of a Dockerfile; what they say on stderr is shown", async () => {
    const path = join(sandbox.root, "described");
    const done = await client.build({
      dockerfile: `# syntax=${frontend} with words\nNO DOCKERFILE\n`,
      options: { do: "describe" },
      outputs: [directoryOutput(path)],
    });
    const opts = JSON.parse(await readFile(join(path, "opts"), "utf8"));
    assert.equal(opts.cmdline, `${frontend} with words`);
    assert.match(done.log, /I describe myself\n/);
    assert.ok(done.vertices.some(({ name }) => name === `[frontend] ${frontend}`));
  });

  it("solve with other frontends and run containers", async () => {
    await using build = new GatewayBuild(client.grpc);
    const file = scratch().file(FileAction.none.mkfile("/file", 0o644, "of input"));
    const nested = await solve(build, request("nested", {}, { in: marshalState(file) }));
    assert.equal(await nested.read("/copied"), "of input");
    const base = image(sandbox.image()).file(FileAction.none.mkfile("/file", 0o644, "in container"));
    const exec = await solve(build, request("exec", { image: sandbox.image() }, { in: marshalState(base) }));
    assert.equal(await exec.read("/said"), "in container");
    assert.match(await exec.read("/digest"), /^sha256:/);
  });

  it("come from a context of their name", async () => {
    await using build = new GatewayBuild(client.grpc);
    const opts = { source: "mine", "context:mine": `docker-image://${frontend}` };
    const { read } = await solve(build, request("describe", opts));
    assert.equal(await read("/env"), "mine /frontend buildkit");
  });

  it("must promise the capabilities that are asked for", async () => {
    await using build = new GatewayBuild(client.grpc);
    await solve(build, request("describe", { "frontend.caps": "moby.buildkit.frontend.extra+forward" }));
    await assert.rejects(solve(build, request("describe", { "frontend.caps": "other" })), (error) => {
      assert.ok(error instanceof BuildError);
      assert.equal(error.code, Code.Unimplemented);
      assert.equal(error.message, "unsupported frontend capability other");
      return error.details.some(({ typeUrl }) => typeUrl.endsWith("errdefs.FrontendCap+json"));
    });
  });

  const failures: readonly (readonly [string, string | RegExp])[] = [
    ["refuse", /I will not$/],
    ["crash", /exit code: 3$/],
    ["crashAfterReturn", /exit code: 4$/],
    ["leave", /no result for incomplete build$/],
    ["flood", /frontend grpc server closed unexpectedly$/],
  ];
  for (const [action, message] of failures) {
    it(`fail with a clear error when they ${action}`, async () => {
      await using build = new GatewayBuild(client.grpc);
      await assert.rejects(solve(build, request(action)), { message });
    });
  }

  it("are named in their errors", async () => {
    await using build = new GatewayBuild(client.grpc);
    await assert.rejects(solve(build, request("crash")), (error) => {
      assert.ok(error instanceof BuildError);
      const detail = error.details.find(({ typeUrl }) => typeUrl.endsWith("errdefs.Frontend+json"));
      assert.deepEqual(JSON.parse(Buffer.from(detail?.value ?? []).toString()), {
        name: "gateway.v0",
        source: frontend,
      });
      return true;
    });
  });

  it("end with the build when they hang", async () => {
    const build = new GatewayBuild(client.grpc);
    const hanging = assert.rejects(solve(build, request("hang")));
    await waitFor("the frontend to run", () => sandbox.containers().length === 1);
    await build[Symbol.asyncDispose]();
    await hanging;
  });

  it("are refused without an image", async () => {
    await using build = new GatewayBuild(client.grpc);
    const message = gateway.SolveRequest.fromPartial({ Frontend: "gateway.v0", allowResultReturn: true });
    await assert.rejects(solve(build, message), { message: "no source specified for gateway" });
    const missing = request("leave", { source: sandbox.image("nothing:latest") });
    await assert.rejects(solve(build, missing), { message: /nothing:latest: not found$/ });
  });
});
