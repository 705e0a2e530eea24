import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import type { RunContext } from "../../../../src/core/seams/op-runner.ts";
import type { ProgressStatus } from "../../../../src/core/seams/progress.ts";
import type { Descriptor } from "../../../../src/core/values/descriptor.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import type { LayerId, LayerInfo } from "../../../../src/core/values/layer.ts";
import { noResources } from "../../../../src/core/values/resources.ts";
import type { LayerBlob, Task } from "../../../../src/core/values/task.ts";
import type { RegistryClient } from "../../../../src/registry/index.ts";
import { PushOp } from "../../../../src/worker-agent/ops/push-op.ts";
import { noSessions } from "../../../helpers/no-sessions.ts";

const mediaType = "application/vnd.oci.image.layer.v1.tar+gzip";

function descriptorOf(text: string, more: Partial<Descriptor> = {}): Descriptor {
  return { mediaType, digest: sha256(text), size: text.length, ...more };
}

function taskOf(blobs: readonly LayerBlob[], layers: readonly LayerInfo[] = []): Task<"push"> {
  const target = { repository: "reg.io:5000/team/app", insecure: true, sessionIds: [] };
  return {
    id: "t",
    leaseId: "l",
    kind: "push",
    body: { target, blobs },
    layers,
    cacheMounts: [],
    peers: {},
    sessionIds: [],
    demand: noResources,
    coordinator: { id: "c", address: "", token: "" },
  };
}

function contextOf(statuses: ProgressStatus[] = []): RunContext {
  return {
    signal: new AbortController().signal,
    sessions: noSessions,
    logger: silentLogger,
    progress: { status: (update) => void statuses.push(update), log: () => {}, warn: () => {} },
    layers: {
      openBlob: ({ descriptor }: LayerBlob) =>
        (async function* () {
          yield Buffer.from(descriptor.digest);
        })(),
    } as unknown as RunContext["layers"],
  };
}

describe("PushOp", () => {
  it("pushes each blob once, skips foreign ones, and counts", async () => {
    const pushed: string[] = [];
    const pushBlob: RegistryClient["pushBlob"] = async (repository, descriptor, source, call) => {
      assert.equal(repository, "reg.io:5000/team/app");
      assert.equal(call.insecure, true);
      for await (const chunk of source()) pushed.push(chunk.toString());
      return descriptor.digest === sha256("there") ? "exists" : "pushed";
    };
    const foreign = descriptorOf("foreign", { mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" });
    const blobs = [descriptorOf("a"), descriptorOf("a"), descriptorOf("there"), foreign].map((descriptor) => ({
      descriptor,
    }));
    const statuses: ProgressStatus[] = [];
    const result = await new PushOp({ registry: { pushBlob } }).run(taskOf(blobs), contextOf(statuses));
    assert.deepEqual(result, { pushed: 1, skipped: 2, bytes: 1 });
    assert.deepEqual(pushed.sort(), [sha256("a"), sha256("there")].sort());
    assert.deepEqual(
      statuses.map(({ id, completedAt }) => [id, completedAt !== undefined]),
      [
        ["pushing layers", false],
        ["pushing layers", true],
      ],
    );
  });

  it("offers repositories of the same registry to mount from", async () => {
    const offered: (readonly string[])[] = [];
    const pushBlob: RegistryClient["pushBlob"] = async (_repository, _descriptor, _source, call) => {
      offered.push(call.mountFrom ?? []);
      return "mounted";
    };
    const annotations = {
      "containerd.io/distribution.source.reg.io": "lib/a,lib/b",
      "containerd.io/distribution.source.x": "y",
    };
    const descriptor = descriptorOf("a", { annotations });
    const layer = "img-1" as LayerId;
    const info: LayerInfo = {
      id: layer,
      blobs: [descriptor],
      origins: [
        { kind: "registry", repository: "reg.io:5000/base", descriptor },
        { kind: "registry", repository: "other.io/base", descriptor },
        { kind: "registry", repository: "reg.io:5000/zstd", descriptor: descriptorOf("b") },
      ],
      holders: [],
      sizeBytes: 0,
      createdAt: 0,
    };
    await new PushOp({ registry: { pushBlob } }).run(taskOf([{ layer, descriptor }], [info]), contextOf());
    assert.deepEqual(offered, [["base", "lib/a", "lib/b"]]);
  });

  it("ends the other uploads when one fails, and tells why", async () => {
    const failure = new Error("quota");
    const pushBlob: RegistryClient["pushBlob"] = async (_repository, descriptor, _source, { signal }) => {
      if (descriptor.digest === sha256("bad")) throw failure;
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
      throw new Error("an upload outlived the failure");
    };
    const blobs = ["a", "b", "bad"].map((text) => ({ descriptor: descriptorOf(text) }));
    await assert.rejects(new PushOp({ registry: { pushBlob } }).run(taskOf(blobs), contextOf()), failure);
  });
});
