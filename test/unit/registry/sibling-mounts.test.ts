import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SessionGroup } from "../../../src/core/seams/session-caller.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import { SiblingMounts } from "../../../src/registry/index.ts";

const descriptor = { mediaType: "", digest: sha256("x"), size: 1 };
const signal = new AbortController().signal;
const call = (...ids: string[]) => ({ signal, sessions: { ids } as unknown as SessionGroup });
const never = () => {
  throw new Error("the blob was read");
};

describe("SiblingMounts", () => {
  it("names the repositories that earlier uploads have put a blob in, one upload after the other", async () => {
    const asked: (readonly [string, readonly string[]])[] = [];
    let running = 0;
    const pusher = new SiblingMounts({
      pushBlob: async (repository, _descriptor, _source, { mountFrom = [] }) => {
        assert.equal(++running, 1);
        asked.push([repository, mountFrom]);
        await new Promise(setImmediate);
        running--;
        return "pushed";
      },
    });
    await Promise.all([
      pusher.pushBlob("host/a", descriptor, never, { ...call("s"), mountFrom: ["base"] }),
      pusher.pushBlob("host/b", descriptor, never, call("s")),
      pusher.pushBlob("host/c", descriptor, never, call("s")),
    ]);
    assert.deepEqual(asked, [
      ["host/a", ["base"]],
      ["host/b", ["a"]],
      ["host/c", ["a", "b"]],
    ]);
  });

  it("tells nobody of another's repositories, of another registry's, or of failed uploads", async () => {
    const asked: (readonly string[])[] = [];
    const pusher = new SiblingMounts({
      pushBlob: async (repository, _descriptor, _source, { mountFrom = [] }) => {
        asked.push(mountFrom);
        if (repository === "host/broken") throw new Error("reset");
        return "pushed";
      },
    });
    await assert.rejects(pusher.pushBlob("host/broken", descriptor, never, call("s")), { message: "reset" });
    await pusher.pushBlob("host/a", descriptor, never, call("s"));
    await pusher.pushBlob("host/b", descriptor, never, call("other"));
    await pusher.pushBlob("elsewhere/b", descriptor, never, call("s"));
    await pusher.pushBlob("host/b", { ...descriptor, digest: sha256("y") }, never, call("s"));
    assert.deepEqual(asked, [[], [], [], [], []]);
  });
});
