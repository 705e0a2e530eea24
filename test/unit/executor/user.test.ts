import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { lookUpUser } from "../../../src/executor/rootfs/user.ts";

describe("lookUpUser()", () => {
  let root: string;

  before(() => {
    root = mkdtempSync(join(tmpdir(), "users-"));
    mkdirSync(join(root, "etc"));
    writeFileSync(
      join(root, "etc/passwd"),
      "# comment\nroot:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n123:x:7:8::/:\n",
    );
    writeFileSync(join(root, "etc/group"), "root:x:0:\nwheel:x:10:alice\nstaff:x:50:bob,alice\nodd:x:60:\n");
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  const cases: readonly (readonly [string, number, number, readonly number[]])[] = [
    ["", 0, 0, [0]],
    ["root", 0, 0, [0]],
    ["alice", 1000, 1000, [1000, 10, 50]],
    ["alice:", 1000, 1000, [1000, 10, 50]],
    ["1000", 1000, 1000, [1000, 10, 50]],
    ["1000:staff", 1000, 50, [50]],
    ["alice:60", 1000, 60, [60]],
    ["alice:61", 1000, 61, [61]],
    [":50", 0, 50, [50]],
    ["5000", 5000, 0, [0]],
    ["5000:6000", 5000, 6000, [6000]],
    ["4294967295:1", 4294967295, 1, [1]],
    ["123", 123, 0, [0]],
  ];
  for (const [user, uid, gid, additionalGids] of cases) {
    test(JSON.stringify(user), () => assert.deepEqual(lookUpUser(root, user), { uid, gid, additionalGids }));
  }

  const failures: readonly (readonly [string, string])[] = [
    ["carol", "unable to find user carol: no matching entries in passwd file"],
    ["alice:nogroup", "unable to find group nogroup: no matching entries in group file"],
    ["4294967295", "uids and gids must be in range 0-2147483647"],
    ["alice:2147483648", "uids and gids must be in range 0-2147483647"],
  ];
  for (const [user, message] of failures) {
    test(`${JSON.stringify(user)} fails`, () => assert.throws(() => lookUpUser(root, user), { message }));
  }

  test("an empty root has root and numbers", () => {
    const empty = mkdtempSync(join(tmpdir(), "users-"));
    try {
      assert.deepEqual(lookUpUser(empty, ""), { uid: 0, gid: 0, additionalGids: [0] });
      assert.deepEqual(lookUpUser(empty, "7"), { uid: 7, gid: 0, additionalGids: [0] });
      assert.throws(() => lookUpUser(empty, "alice"), { message: /^unable to find user alice/ });
    } finally {
      rmSync(empty, { recursive: true });
    }
  });

  test("a link out of the root is followed inside it", () => {
    const linked = mkdtempSync(join(tmpdir(), "users-"));
    try {
      mkdirSync(join(linked, "etc"));
      symlinkSync("../../../../../etc/passwd", join(linked, "etc/passwd"));
      assert.throws(() => lookUpUser(linked, "daemon"), { message: /^unable to find user daemon/ });
    } finally {
      rmSync(linked, { recursive: true });
    }
  });
});
