import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as gateway from "../../../src/api/gen/gateway.ts";
import { Range, SourceInfo } from "../../../src/api/gen/ops.ts";
import { type BuildClient, Sandbox } from "../../helpers/sandbox/index.ts";
import { GatewayBuild } from "./gateway-build.ts";

describe("warnings of a frontend", () => {
  let sandbox: Sandbox;
  let client: BuildClient;

  before(async () => {
    sandbox = await Sandbox.start({ standalone: true });
    client = await sandbox.connect();
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  it("show in the progress of its build, with the place they are about", async () => {
    await using build = new GatewayBuild(client.grpc);
    const warning = {
      digest: `sha256:${"a".repeat(64)}`,
      level: 2,
      short: Buffer.from("this is old"),
      detail: [Buffer.from("use"), Buffer.from("that")],
      url: "https://example.com/old",
      info: SourceInfo.fromPartial({ filename: "Dockerfile", data: Buffer.from("FROM old\n") }),
      ranges: [Range.fromPartial({ start: { line: 1, character: 0 }, end: { line: 1, character: 8 } })],
    };
    await build.call("Warn", gateway.WarnRequest, gateway.WarnResponse, warning);
    await build.finish();
    const seen = [];
    for await (const { warnings } of client.control.status(build.id, AbortSignal.timeout(60_000))) {
      seen.push(...warnings);
    }
    assert.deepEqual(
      seen.map(({ vertex, short, detail, ...rest }) => ({
        ...{ digest: vertex, short: Buffer.from(short), detail: detail.map((line) => Buffer.from(line)) },
        ...{ ...rest, info: rest.info && { ...rest.info, data: Buffer.from(rest.info.data) } },
      })),
      [warning],
    );
  });
});
