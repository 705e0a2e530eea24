import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MountType, Op } from "../../../../src/api/gen/ops.ts";
import { SolveError } from "../../../../src/coordinator/failures/solve-error.ts";
import { FailureRefs } from "../../../../src/coordinator/gateway/failure-refs.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { StepFailedError } from "../../../../src/core/errors/step-failed-error.ts";
import type { Vertex } from "../../../../src/core/seams/op.ts";
import type { LayerId, Ref } from "../../../../src/core/values/layer.ts";

const ref = (name: string): Ref => ({ layers: [name as LayerId] });
const vertexOf = (op: Parameters<typeof Op.fromPartial>[0]) =>
  ({ payload: { op: Op.fromPartial(op) }, options: { description: { "llb.customname": "x" } } }) as unknown as Vertex;
const cause = new BuildError(Code.Unknown, "exit code: 3");

describe("Solve details", () => {
  const refs = new FailureRefs();
  const tell = (error: unknown) => {
    const { details } = refs.tell(error);
    assert.equal(details[0]?.typeUrl, "github.com/moby/buildkit/errdefs.Solve+json");
    return JSON.parse(Buffer.from(details[0]?.value ?? "").toString());
  };

  it("name what lay at each mount of an exec before and after it", async () => {
    const op = {
      platform: { OS: "linux", Architecture: "amd64" },
      op: {
        $case: "exec" as const,
        value: {
          meta: { args: ["false"], proxyEnv: { httpProxy: "p" } },
          mounts: [
            { dest: "/", input: 0, output: 0 },
            { dest: "/scratch", input: -1, output: -1 },
            { dest: "/ro", input: 1, output: -1, readonly: true },
            {
              dest: "/secret",
              input: -1,
              output: -1,
              mountType: MountType.SECRET,
              secretOpt: { ID: "s", mode: 0o400 },
            },
          ],
        },
      },
    };
    const state = { results: [ref("root'"), ref("scratch'"), null, null], layers: [] };
    const error = SolveError.ofRun(new StepFailedError(cause, state), vertexOf(op), [ref("root"), ref("ro")]);
    assert.equal(refs.tell(error.wrap("process failed")).message, "process failed: exit code: 3");
    const { inputIDs, mountIDs, op: told, description, ...rest } = tell(error);
    assert.deepEqual(rest, {});
    assert.deepEqual(description, { "llb.customname": "x" });
    assert.equal(told.exec.meta.proxyEnv.httpProxy, "p");
    assert.deepEqual(told.exec.mounts[3], {
      input: "-1",
      output: "-1",
      dest: "/secret",
      mountType: "SECRET",
      secretOpt: { ID: "s", mode: 0o400 },
    });
    const names = (ids: string[]) =>
      Promise.all(
        ids.map(async (id) => {
          const found = refs.find(id);
          return id && (await found?.evaluate(new AbortController().signal))?.layers[0];
        }),
      );
    assert.deepEqual(await names(inputIDs), ["root", "", "ro", ""]);
    assert.deepEqual(await names(mountIDs), ["root'", "scratch'", "ro", ""]);
    assert.equal(mountIDs[2], inputIDs[2]);
  });

  it("name inputs and actions of a file op", () => {
    const vertex = vertexOf({ op: { $case: "file", value: { actions: [{}, {}] } } });
    const state = { results: [null, ref("half")], layers: [], action: 1 };
    const { inputIDs, mountIDs, file } = tell(SolveError.ofRun(new StepFailedError(cause, state), vertex, [ref("in")]));
    assert.deepEqual([inputIDs.length, mountIDs[0], file], [1, "", { index: "1" }]);
    assert.ok(refs.find(mountIDs[1]));
  });

  it("name the input whose content key failed", () => {
    const vertex = vertexOf({ op: { $case: "file", value: {} } });
    const told = tell(SolveError.ofContentKey(cause, vertex, 2, ref("context")));
    assert.deepEqual([told.inputIDs.length, told.mountIDs, told.cache], [1, undefined, { index: "2" }]);
  });

  it("are empty for what is no vertex, and forgotten at the end", () => {
    assert.deepEqual(tell(cause), {});
    const told = tell(SolveError.ofContentKey(cause, vertexOf({}), 0, ref("r")));
    refs.clear();
    assert.equal(refs.find(told.inputIDs[0]), undefined);
  });
});
