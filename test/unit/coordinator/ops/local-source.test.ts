import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseLocalSource } from "../../../../src/coordinator/ops/local-source.ts";

describe("parseLocalSource", () => {
  it("takes a session with and without a prefix of the name", () => {
    const parse = (session: string) =>
      parseLocalSource({ identifier: "local://context", attrs: { "local.session": session } });
    const { name, sessionId } = parse("dev:s1") ?? {};
    assert.deepEqual([name, sessionId], ["dev-context", "s1"]);
    assert.equal(parse("s1")?.name, "context");
    assert.equal(parseLocalSource({ identifier: "git://x", attrs: {} }), undefined);
  });
});
