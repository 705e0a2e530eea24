import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { isOutOfSpace, reportedFailure } from "../../../src/worker-agent/out-of-space.ts";

test("a database that has no room is a disk that has none", () => {
  using database = { db: new DatabaseSync(":memory:"), [Symbol.dispose]: () => database.db.close() };
  database.db.exec("PRAGMA max_page_count = 2");
  const failed = (statement: string) => {
    try {
      database.db.exec(statement);
    } catch (error) {
      return BuildError.from(error).wrap("cannot keep digests");
    }
    throw new Error("it had room");
  };
  const full = failed("CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(100000))");
  assert.ok(isOutOfSpace(full, "checksum"));
  assert.match(reportedFailure(full, "checksum", "a1", "/data").message, /^agent a1 has no space left in \/data: /);
  assert.ok(!isOutOfSpace(failed("no statement"), "checksum"));
  assert.ok(
    !isOutOfSpace(new BuildError(Code.Unknown, "database or disk is full"), "exec"),
    "what a step says is its own",
  );
});
