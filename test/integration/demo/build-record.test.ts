import assert from "node:assert/strict";
import { test } from "node:test";
import { BuildRecord, type Step } from "../../../deploy/demo/build-record.ts";

const messages = [
  { vertexes: [{ digest: "sha256:1", name: "[pages 2/2] RUN make" }] },
  { vertexes: [{ digest: "sha256:1", name: "[pages 2/2] RUN make", started: "2024-01-01T00:00:01Z" }] },
  { statuses: [{ id: "agent a1 (host-1)", vertex: "sha256:1", timestamp: "2024-01-01T00:00:01Z" }] },
  { logs: [{ vertex: "sha256:1", stream: 1, data: Buffer.from("one\ntw").toString("base64") }] },
  { logs: [{ vertex: "sha256:1", stream: 1, data: Buffer.from("o\n").toString("base64") }] },
  {
    vertexes: [
      {
        digest: "sha256:1",
        name: "[pages 2/2] RUN make",
        started: "2024-01-01T00:00:01Z",
        completed: "2024-01-01T00:00:03Z",
      },
    ],
  },
];

for (const [form, text] of [
  ["one line each", messages.map((message) => JSON.stringify(message)).join("\n")],
  ["several lines each", messages.map((message) => JSON.stringify(message, undefined, 2)).join("\n")],
]) {
  test(`BuildRecord reads messages of ${form}`, () => {
    const completed: Step[] = [];
    const output: string[] = [];
    const record = new BuildRecord({
      completed: (step) => void completed.push(step),
      output: (_, line) => void output.push(line),
    });
    for (const line of (text ?? "").split("\n")) assert.ok(record.add(line), line);
    assert.ok(!record.add("ERROR: failed to solve: nothing to make"));
    assert.deepEqual(output, ["one", "two"]);
    assert.deepEqual(completed, [
      {
        digest: "sha256:1",
        name: "[pages 2/2] RUN make",
        startedMs: Date.parse("2024-01-01T00:00:01Z"),
        completedMs: Date.parse("2024-01-01T00:00:03Z"),
        cached: false,
        error: "",
        agentId: "a1",
      },
    ]);
    assert.deepEqual(record.steps, completed);
  });
}
