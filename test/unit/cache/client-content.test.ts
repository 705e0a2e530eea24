import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { ClientContent } from "../../../src/cache/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import { type FakeMethod, FakeSession } from "../../helpers/fake-session.ts";

const signal = new AbortController().signal;
const service = "/containerd.services.content.v1.Content";

interface Request {
  readonly action: number;
  readonly total: number;
  readonly offset: number;
  readonly expected: string;
  readonly data: Uint8Array;
}

function decodeWrite(message: Uint8Array): Request {
  let [action, total, offset, expected] = [0, 0, 0, ""];
  let data: Uint8Array = new Uint8Array();
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1) action = reader.int32();
    else if (field === 3) total = Number(reader.int64());
    else if (field === 4) expected = reader.string();
    else if (field === 5) offset = Number(reader.int64());
    else if (field === 6) data = reader.bytes();
    else reader.skip(type, field);
  }
  return { action, total, offset, expected, data };
}

/** A store that keeps what is committed, as containerd's content service does. */
function store(blobs: Map<string, Uint8Array>, seen: Request[] = []): Record<string, FakeMethod> {
  return {
    [`${service}/Write`]: async function* (requests, metadata) {
      assert.deepEqual(metadata["buildkit-attachable-store-id"], ["local:/cache"]);
      let written = Buffer.alloc(0);
      for await (const message of requests) {
        const request = decodeWrite(message);
        seen.push(request);
        if (blobs.has(request.expected)) throw new BuildError(Code.AlreadyExists, "blob exists");
        if (request.offset !== written.length) throw new BuildError(Code.OutOfRange, "wrong offset");
        written = Buffer.concat([written, request.data]);
        if (request.action === 2) {
          if (sha256(written) !== request.expected) throw new BuildError(Code.FailedPrecondition, "unexpected digest");
          blobs.set(request.expected, written);
        }
        yield new Uint8Array();
        if (request.action === 2) return;
      }
    },
    [`${service}/Info`]: async function* (requests) {
      for await (const message of requests) {
        const reader = new BinaryReader(message);
        reader.tag();
        const blob = blobs.get(reader.string());
        if (blob === undefined) throw new BuildError(Code.NotFound, "not found");
        const info = new BinaryWriter()
          .uint32((2 << 3) | WireType.Varint)
          .int64(blob.length)
          .finish();
        yield new BinaryWriter()
          .uint32((1 << 3) | WireType.LengthDelimited)
          .bytes(info)
          .finish();
      }
    },
  };
}

async function* once(...chunks: Uint8Array[]) {
  yield* chunks;
}

describe("ClientContent", () => {
  const data = Buffer.alloc((5 << 20) / 2, "x");
  const blob = { digest: sha256(data), size: data.length };

  it("writes a blob in chunks a client takes", async () => {
    const blobs = new Map<string, Uint8Array>();
    const seen: Request[] = [];
    const content = new ClientContent(new FakeSession("s", store(blobs, seen)), "local:/cache");
    assert.equal(await content.write(blob, () => once(data.subarray(0, 10), data.subarray(10)), signal), true);
    assert.deepEqual(blobs.get(blob.digest), data);
    assert.ok(seen.every((request) => request.data.length <= 1 << 20));
    assert.equal(seen.at(-1)?.total, data.length);
    assert.equal(await content.size(blob.digest, signal), data.length);
  });

  it("does not read what the client has", async () => {
    const content = new ClientContent(new FakeSession("s", store(new Map([[blob.digest, data]]))), "local:/cache");
    const written = await content.write(blob, () => assert.fail("the blob was opened"), signal);
    assert.equal(written, false);
  });

  it("says what the client said", async () => {
    const content = new ClientContent(new FakeSession("s", store(new Map())), "local:/cache");
    await assert.rejects(
      content.write(blob, () => once(Buffer.from("other")), signal),
      { message: "unexpected digest" },
    );
    await assert.rejects(content.size(blob.digest, signal), { code: Code.NotFound });
  });

  it("ends the call when the bytes cannot be had", async () => {
    const content = new ClientContent(new FakeSession("s", store(new Map())), "local:/cache");
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield data.subarray(0, 10);
      throw new BuildError(Code.Unavailable, "holder is gone");
    };
    await assert.rejects(content.write(blob, failing, signal), { message: "holder is gone" });
  });
});
