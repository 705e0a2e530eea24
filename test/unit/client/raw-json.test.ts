import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StatusResponse } from "../../../src/api/gen/control.ts";
import { statusJson } from "../../../src/client/progress/index.ts";
import { at, log, status, vertex, warning } from "./statuses.ts";

describe("statusJson()", () => {
  it("has Go's field order, times and empty values", () => {
    assert.equal(
      statusJson(vertex("sha256:0", { name: "a <b> & c", started: 0.5, cached: true })),
      '{"vertexes":[{"digest":"sha256:0","name":"a \\u003cb\\u003e \\u0026 c","started":"2023-11-14T22:13:20.5Z","cached":true}]}',
    );
    assert.equal(
      statusJson(status("v", "x", { time: 0, started: 0 })),
      '{"statuses":[{"id":"x","vertex":"v","current":0,"timestamp":"2023-11-14T22:13:20Z","started":"2023-11-14T22:13:20Z"}]}',
    );
    assert.equal(
      statusJson(log("v", 0, "hi\n", 2)),
      '{"logs":[{"vertex":"v","stream":2,"data":"aGkK","timestamp":"2023-11-14T22:13:20Z"}]}',
    );
    assert.equal(statusJson(warning("v", "w")), '{"warnings":[{"vertex":"v","level":1,"short":"dw=="}]}');
    assert.equal(statusJson(StatusResponse.fromPartial({})), "{}");
  });

  it("keeps nanoseconds", () => {
    const message = vertex("v", { started: 0 });
    for (const item of message.vertexes) item.completed = { ...at(0), nanos: 123_456_789 };
    assert.match(statusJson(message), /"completed":"2023-11-14T22:13:20\.123456789Z"/);
  });
});
