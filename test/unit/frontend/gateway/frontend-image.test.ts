import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Definition } from "../../../../src/api/gen/ops.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { emptyContainerConfig, ImageEnv } from "../../../../src/frontend/dockerfile/image/index.ts";
import {
  checkAllowedSource,
  frontendProcess,
  loadFrontendImage,
  missingCapability,
  wantsNoNetwork,
} from "../../../../src/frontend/gateway/index.ts";
import { FakeLlbBridge } from "../../../helpers/fake-llb-bridge.ts";

const labelled = (labels: Readonly<Record<string, string>>) => ({
  ...emptyContainerConfig(),
  labels: new Map(Object.entries(labels)),
});
const withCaps = (caps: string, digest?: `sha256:${string}`) => ({
  definition: Definition.fromPartial({}),
  config: labelled({ "moby.buildkit.frontend.caps": caps }),
  ...(digest === undefined ? {} : { digest: digest as never }),
});

describe("a frontend image", () => {
  it("is pinned to the manifest that its name leads to now", async () => {
    const digest = `sha256:${"a".repeat(64)}` as never;
    const bridge = new FakeLlbBridge({
      resolve: (source) => ({
        source,
        image: { digest, config: Buffer.from('{"config":{"Entrypoint":["/fe"],"Labels":{"a":"b"}}}') },
      }),
    });
    const image = await loadFrontendImage(bridge, "user/fe", {}, {}, AbortSignal.timeout(5000));
    assert.deepEqual(
      bridge.resolves.map(({ source }) => source.identifier),
      ["docker-image://docker.io/user/fe:latest"],
    );
    assert.equal(image.digest, digest);
    assert.deepEqual(image.config.entrypoint, ["/fe"]);
    assert.match(Buffer.from(image.definition.def[0] ?? []).toString(), /docker\.io\/user\/fe:latest@sha256:a{64}/);
  });

  it("is named when it cannot be resolved", async () => {
    const bridge = new FakeLlbBridge({
      resolve: () => {
        throw new BuildError(Code.NotFound, "docker.io/user/fe:latest: not found");
      },
    });
    await assert.rejects(loadFrontendImage(bridge, "user/fe", {}, {}, AbortSignal.timeout(5000)), {
      code: Code.NotFound,
      message: "failed to resolve source metadata for docker.io/user/fe:latest: docker.io/user/fe:latest: not found",
    });
  });

  it("runs /run in the root directory unless its config says otherwise", () => {
    const bridge = new FakeLlbBridge();
    const plain = frontendProcess(emptyContainerConfig(), {}, bridge);
    assert.deepEqual([plain.args, plain.cwd, plain.stdin], [["/run"], "/", true]);
    const config = {
      ...emptyContainerConfig(),
      entrypoint: ["/fe", "x"],
      workingDir: "/w",
      env: new ImageEnv(["A=1"]),
    };
    const { args, cwd, env } = frontendProcess(config, { source: "s", "build-arg:B": "c=d" }, bridge);
    assert.deepEqual([args, cwd], [["/fe", "x"], "/w"]);
    assert.deepEqual(env.slice(0, 4), [
      "A=1",
      "BUILDKIT_FRONTEND_OPT_0=source=s",
      "BUILDKIT_FRONTEND_OPT_1=build-arg:B=c=d",
      "BUILDKIT_SESSION_ID=session-1",
    ]);
    const workers = env.find((entry) => entry.startsWith("BUILDKIT_WORKERS=")) ?? "";
    assert.equal(JSON.parse(workers.slice("BUILDKIT_WORKERS=".length)).length, bridge.workers().length);
  });

  it("may do without network", () => {
    assert.equal(wantsNoNetwork(labelled({ "moby.buildkit.frontend.network.none": "true" })), true);
    assert.equal(wantsNoNetwork(labelled({ "moby.buildkit.frontend.network.none": "no" })), false);
    assert.equal(wantsNoNetwork(labelled({})), false);
  });

  it("is refused for a capability that its label lacks", () => {
    assert.equal(missingCapability(withCaps("a,b+x"), { "frontend.caps": "b,a+forward" }, false), undefined);
    const missing = missingCapability(withCaps("a"), { "frontend.caps": "a,b" }, false);
    assert.equal(missing?.message, "unsupported frontend capability b");
    assert.equal(missing?.code, Code.Unimplemented);
    assert.equal(
      missingCapability(withCaps(""), {}, true)?.message,
      "unsupported frontend capability moby.buildkit.frontend.inputs",
    );
    const old = "sha256:9ac1c43a60e31dca741a6fe8314130a9cd4c4db0311fbbc636ff992ef60ae76d";
    assert.equal(missingCapability(withCaps("", old), {}, true), undefined);
  });

  it("may be limited to some repositories", () => {
    checkAllowedSource("anything/at:all", []);
    checkAllowedSource("docker/dockerfile:1.5", ["docker.io/docker/dockerfile"]);
    assert.throws(() => checkAllowedSource("docker/other", ["docker/dockerfile"]), {
      message: "'docker/other' is not an allowed gateway source",
    });
  });
});
