import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SourceOp } from "../../../../src/api/gen/ops.ts";
import { sessionsOfTask } from "../../../../src/coordinator/fleet/sessions-of-task.ts";
import { TaskSessions } from "../../../../src/coordinator/fleet/task-sessions.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import type { SessionGroup } from "../../../../src/core/seams/session-caller.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import { parsePlatform } from "../../../../src/core/values/platform.ts";
import { layerInfo } from "../../../helpers/fake-fleet.ts";
import { FakeSession } from "../../../helpers/fake-session.ts";

const { signal } = new AbortController();
/** Like the real one: finds any session. */
const group: SessionGroup = {
  ids: ["own"],
  get: async (id) => new FakeSession(id, {}),
  any: async () => assert.fail(),
};

describe("TaskSessions", () => {
  it("opens the sessions of the task's builds and those the task names, no others", async () => {
    const sessions = new TaskSessions();
    const token = sessions.issue(group, (id) => id === "named");
    assert.equal((await sessions.open(token, "own", signal)).id, "own");
    assert.equal((await sessions.open(token, "named", signal)).id, "named");
    await assert.rejects(sessions.open(token, "other", signal), { code: Code.PermissionDenied });
    await assert.rejects(sessions.open("guess", "own", signal), { code: Code.PermissionDenied });
    sessions.revoke(token);
    await assert.rejects(sessions.open(token, "own", signal), { code: Code.PermissionDenied });
  });

  it("knows where a task's source and the blobs of its layers may be", () => {
    const source = SourceOp.encode({ identifier: "local://x", attrs: { "local.session": "prefix:l" } }).finish();
    const descriptor = { mediaType: "m", digest: sha256(""), size: 1 };
    const origin = { kind: "session", sessionId: "o", storeId: "s", descriptor } as const;
    const body = { source, platform: parsePlatform("linux/amd64"), description: "" };
    assert.deepEqual(sessionsOfTask("source.fetch", body, [layerInfo("x", { origins: [origin] })]), ["o", "l", ""]);
    assert.deepEqual(sessionsOfTask("materialize", { ref: { layers: [] } }, []), []);
  });
});
