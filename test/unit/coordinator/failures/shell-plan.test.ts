import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type FileAction, MountType, NetMode, Op, SecurityMode } from "../../../../src/api/gen/ops.ts";
import { shellPlan } from "../../../../src/coordinator/failures/shell-plan.ts";
import { SolveError } from "../../../../src/coordinator/failures/solve-error.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { StepFailedError } from "../../../../src/core/errors/step-failed-error.ts";
import type { Vertex } from "../../../../src/core/seams/op.ts";
import type { LayerId, Ref } from "../../../../src/core/values/layer.ts";

const ref = (name: string): Ref => ({ layers: [name as LayerId] });
const edges = [0, 1].map((index) => ({ vertex: {} as Vertex, index }));
const vertexOf = (op: Parameters<typeof Op.fromPartial>[0]) =>
  ({ payload: { op: Op.fromPartial(op) }, inputs: edges }) as unknown as Vertex;
const cause = new BuildError(Code.Unknown, "no");
const now = { inputs: false, hasClient: false };

describe("the container of a failed exec", () => {
  const vertex = vertexOf({
    op: {
      $case: "exec",
      value: {
        meta: {
          ...{ args: ["/bin/bash", "-c", "x"], env: ["A=b"], cwd: "/work", user: "u", hostname: "h" },
          extraHosts: [{ Host: "db", IP: "10.0.0.1" }],
        },
        network: NetMode.NONE,
        security: SecurityMode.INSECURE,
        secretenv: [{ ID: "t", name: "TOKEN", optional: false }],
        cdiDevices: [{ name: "v.com/d=x", optional: false }],
        mounts: [
          { dest: "/", input: 0, output: 0 },
          { dest: "sub", input: 1, output: -1, selector: "/s", readonly: true },
          { dest: "/run/secrets/key", input: -1, output: -1, mountType: MountType.SECRET, secretOpt: { ID: "key" } },
          { dest: "/cache", input: -1, output: -1, mountType: MountType.CACHE, cacheOpt: { ID: "c" } },
        ],
      },
    },
  });
  const state = { results: [ref("half"), null, null, null], layers: [] };
  const step = SolveError.ofRun(new StepFailedError(cause, state), vertex, [ref("root"), ref("more")]);

  it("is as that of the step, with a shell, without secrets and devices", () => {
    const { request, refs, process, notes } = shellPlan(step, now);
    assert.deepEqual(
      request.mounts.map(({ mount: { dest, selector, readonly, mountType } }) => [dest, selector, readonly, mountType]),
      [
        ["/", "", false, MountType.BIND],
        ["/work/sub", "/s", true, MountType.BIND],
        ["/cache", "", false, MountType.CACHE],
      ],
    );
    assert.deepEqual(refs, [ref("half"), ref("more"), undefined]);
    assert.deepEqual([request.network, request.hostname], [NetMode.NONE, "h"]);
    assert.deepEqual(request.extraHosts, [{ host: "db", ip: "10.0.0.1" }]);
    const { args, env, cwd, user } = process.Meta ?? {};
    assert.deepEqual([args, env, cwd, user], [["/bin/bash"], ["A=b"], "/work", "u"]);
    assert.deepEqual([process.Security, process.secretenv], [SecurityMode.INSECURE, []]);
    assert.match(notes[0] ?? "", /^without the secrets of the step \(\/run\/secrets\/key, TOKEN\)/);
    assert.equal(notes[1], "without the devices of the step (v.com/d=x)");
    assert.equal(notes.length, 3);
  });

  it("has the secrets while their client is there, and the inputs when asked for", () => {
    const { request, refs, process, notes } = shellPlan(step, { inputs: true, hasClient: true });
    assert.equal(request.mounts[2]?.mount.secretOpt?.ID, "key");
    assert.deepEqual(refs, [ref("root"), ref("more"), undefined, undefined]);
    assert.deepEqual([process.secretenv.length, notes.length], [1, 2]);
  });

  it("has the input whose files are missing beside a root that may still have to be built", () => {
    const missing = SolveError.ofContentKey(cause, vertex, 1, ref("context"));
    const { request, refs } = shellPlan(missing, now);
    assert.deepEqual(refs, [edges[0], ref("context")]);
    assert.deepEqual(
      request.mounts.map(({ mount }) => mount.dest),
      ["/", "/.input"],
    );
    assert.deepEqual(shellPlan(SolveError.ofContentKey(cause, vertex, 0, ref("root")), now).refs, [ref("root")]);
  });
});

describe("the container of failed file actions", () => {
  const copy = { src: "/a", dest: "/b" };
  const vertex = (...actions: Parameters<typeof FileAction.fromPartial>[0][]) =>
    vertexOf({ op: { $case: "file", value: { actions } } });

  it("has the root of the action that failed, and what it copies", () => {
    const op = vertex(
      { input: 0, secondaryInput: -1, output: -1, action: { $case: "mkdir", value: {} } },
      { input: 2, secondaryInput: 1, output: 0, action: { $case: "copy", value: copy } },
    );
    const state = { results: [null, ref("half")], layers: [], action: 1 };
    const step = SolveError.ofRun(new StepFailedError(cause, state), op, [ref("base"), ref("context")]);
    assert.deepEqual(shellPlan(step, now).refs, [ref("half"), ref("context")]);
    assert.deepEqual(shellPlan(step, { ...now, inputs: true }).refs, [ref("base"), ref("context")]);
    assert.deepEqual(shellPlan(step, now).process.Meta?.args, ["/bin/sh"]);
  });

  it("has what an earlier action made to be copied", () => {
    const op = vertex(
      { input: -1, secondaryInput: -1, output: -1, action: { $case: "mkdir", value: {} } },
      { input: 0, secondaryInput: 1, output: 0, action: { $case: "copy", value: copy } },
    );
    const state = { results: [ref("made"), ref("half")], layers: [], action: 1 };
    const step = SolveError.ofRun(new StepFailedError(cause, state), op, [ref("base")]);
    assert.deepEqual(shellPlan(step, now).refs, [ref("half"), ref("made")]);
  });

  it("is refused where nothing was written", () => {
    const op = vertex({ input: -1, secondaryInput: -1, output: 0, action: { $case: "mkdir", value: {} } });
    const state = { results: [], layers: [], action: 0 };
    const step = SolveError.ofRun(new StepFailedError(cause, state), op, []);
    assert.throws(() => shellPlan(step, now), { code: Code.FailedPrecondition });
    assert.throws(() => shellPlan(SolveError.ofCacheMap(cause, vertexOf({})), now), { code: Code.FailedPrecondition });
  });
});
