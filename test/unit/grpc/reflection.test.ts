import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import { create, createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { fileDescriptorSet } from "../../../src/api/gen/descriptors.ts";
import { HealthCheckRequest, HealthCheckResponse } from "../../../src/api/gen/health.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { GrpcClient, GrpcServer, serveHealth, serveReflection } from "../../../src/grpc/index.ts";

async function connect(t: TestContext) {
  const server = new GrpcServer({ logger: silentLogger });
  server.handle("/moby.buildkit.v1.Control/Info", async () => {});
  serveHealth(server);
  serveReflection(server, fileDescriptorSet());
  const [serverEnd, clientEnd] = duplexPair();
  void server.serveDuplex(serverEnd);
  const client = new GrpcClient(clientEnd);
  t.after(async () => {
    client.destroy();
    await server.close();
  });
  return client;
}

/** Top-level fields of a message by number, each as its raw bytes. */
function fields(message: Uint8Array): Map<number, Uint8Array[]> {
  const found = new Map<number, Uint8Array[]>();
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if ((tag & 7) !== 2) {
      reader.skip(tag & 7);
      continue;
    }
    const list = found.get(tag >>> 3) ?? [];
    list.push(reader.bytes());
    found.set(tag >>> 3, list);
  }
  return found;
}

async function ask(client: GrpcClient, version: string, field: number, value: string) {
  const call = client.open(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`);
  await call.send(
    new BinaryWriter()
      .uint32(field * 8 + 2)
      .string(value)
      .finish(),
  );
  call.closeSend();
  for await (const message of call.messages) return fields(message);
  assert.fail("no answer");
}

const textOf = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? "").toString();

describe("reflection", () => {
  for (const version of ["v1", "v1alpha"]) {
    it(`lists services (${version})`, async (t) => {
      const client = await connect(t);
      const list = fields((await ask(client, version, 7, "")).get(6)?.[0] ?? new Uint8Array(0)).get(1) ?? [];
      assert.deepEqual(
        list.map((service) => textOf(fields(service).get(1)?.[0])),
        [
          "grpc.health.v1.Health",
          "grpc.reflection.v1.ServerReflection",
          "grpc.reflection.v1alpha.ServerReflection",
          "moby.buildkit.v1.Control",
        ],
      );
    });
  }

  it("describes a service with all it needs", async (t) => {
    const client = await connect(t);
    for (const symbol of ["moby.buildkit.v1.Control", "moby.buildkit.v1.Control.Solve"]) {
      const answer = await ask(client, "v1", 4, symbol);
      const files = (fields(answer.get(4)?.[0] ?? new Uint8Array(0)).get(1) ?? []).map((bytes) =>
        fromBinary(FileDescriptorProtoSchema, bytes),
      );
      const byName = new Map<string, FileDescriptorProto>(files.map((file) => [file.name, file]));
      const ordered = new Set<FileDescriptorProto>();
      const add = (file: FileDescriptorProto | undefined) => {
        assert.ok(file !== undefined, "an imported file is missing");
        for (const name of file.dependency) add(byName.get(name));
        ordered.add(file);
      };
      add(files[0]);
      const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [...ordered] }));
      const solve = registry.getService("moby.buildkit.v1.Control")?.methods.find((method) => method.name === "Solve");
      assert.equal(solve?.input.typeName, "moby.buildkit.v1.SolveRequest");
    }
    const byFile = await ask(client, "v1", 3, "control.proto");
    assert.ok(byFile.has(4));
    const unknown = await ask(client, "v1", 4, "no.Such");
    assert.match(textOf(unknown.get(7)?.[0]), /no\.Such not found/);
  });
});

describe("health", () => {
  it("serves the server and its services, and knows no others", async (t) => {
    const client = await connect(t);
    const check = (service: string) =>
      client.unary("/grpc.health.v1.Health/Check", HealthCheckRequest, HealthCheckResponse, { service });
    assert.equal((await check("")).status, 1);
    assert.equal((await check("moby.buildkit.v1.Control")).status, 1);
    await assert.rejects(check("no.Such"), { code: Code.NotFound });
    await using watch = client.open("/grpc.health.v1.Health/Watch");
    await watch.send(new Uint8Array(0));
    watch.closeSend();
    for await (const message of watch.messages) {
      assert.equal(HealthCheckResponse.decode(message).status, 1);
      break;
    }
  });
});
