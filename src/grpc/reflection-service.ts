import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { GrpcServer } from "./grpc-server.ts";
import type { ServerCall } from "./server-call.ts";

/** One proto file, as much of it as reflection looks at. */
interface ProtoFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly dependencies: readonly string[];
  /** Full names of services, methods, messages and enums. */
  readonly symbols: ReadonlySet<string>;
}

/**
 * Registers gRPC server reflection, v1 and v1alpha (grpc/grpc, doc/server-reflection.md), so that grpcurl and the like can
 * list and call what this server has.
 * @param descriptors encoded google.protobuf.FileDescriptorSet; services without a file in it are listed only
 */
export function serveReflection(server: GrpcServer, descriptors: Uint8Array): void {
  let files: ReadonlyMap<string, ProtoFile> | undefined;
  const handler = async (call: ServerCall) => {
    files ??= readFiles(descriptors);
    for await (const request of call.messages) await call.send(answer(request, server, files));
  };
  for (const version of ["v1", "v1alpha"]) {
    server.handle(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`, handler);
  }
}

/** One ServerReflectionResponse. */
function answer(request: Uint8Array, server: GrpcServer, files: ReadonlyMap<string, ProtoFile>): Uint8Array {
  const fields = readFields(request);
  const response = new BinaryWriter().uint32(18).bytes(request);
  const text = (field: number): string | undefined => {
    const value = fields.find((item) => item.field === field)?.bytes;
    return value === undefined ? undefined : Buffer.from(value).toString();
  };
  const fileName = text(3);
  const symbol = text(4);
  if (fileName !== undefined) {
    const file = files.get(fileName);
    return file === undefined ? notFound(response, fileName) : sendFiles(response, file, files);
  }
  if (symbol !== undefined) {
    const file = [...files.values()].find((candidate) => candidate.symbols.has(symbol));
    return file === undefined ? notFound(response, symbol) : sendFiles(response, file, files);
  }
  if (text(7) !== undefined) {
    const services = new Set(server.methods.map((method) => method.slice(1, method.lastIndexOf("/"))));
    const list = response.uint32(50).fork();
    for (const service of [...services].sort()) list.uint32(10).fork().uint32(10).string(service).join();
    return list.join().finish();
  }
  return notFound(response, "extensions");
}

/** The file and all it imports: clients ask once and then build their registry from the answer. */
function sendFiles(response: BinaryWriter, file: ProtoFile, files: ReadonlyMap<string, ProtoFile>): Uint8Array {
  const list = response.uint32(34).fork();
  const seen = new Set<string>();
  const add = (next: ProtoFile) => {
    if (seen.has(next.name)) return;
    seen.add(next.name);
    list.uint32(10).bytes(next.bytes);
    for (const name of next.dependencies) {
      const dependency = files.get(name);
      if (dependency !== undefined) add(dependency);
    }
  };
  add(file);
  return list.join().finish();
}

function notFound(response: BinaryWriter, what: string): Uint8Array {
  return response
    .uint32(58)
    .fork()
    .uint32(8)
    .int32(Code.NotFound)
    .uint32(18)
    .string(`${what} not found`)
    .join()
    .finish();
}

function readFiles(set: Uint8Array): ReadonlyMap<string, ProtoFile> {
  const files = readFields(set)
    .filter((item) => item.field === 1)
    .map((item) => readFile(item.bytes));
  return new Map(files.map((file) => [file.name, file]));
}

/** google/protobuf/descriptor.proto: name 1, package 2, dependency 3, message_type 4, enum_type 5, service 6. */
function readFile(bytes: Uint8Array): ProtoFile {
  const fields = readFields(bytes);
  const texts = (field: number) =>
    fields.filter((item) => item.field === field).map((item) => Buffer.from(item.bytes).toString());
  const prefix = texts(2).map((name) => `${name}.`)[0] ?? "";
  const symbols = new Set<string>();
  for (const { field, bytes: item } of fields) {
    if (field < 4 || field > 6) continue;
    const inner = readFields(item);
    const nameOf = (list: typeof inner) => Buffer.from(list.find((part) => part.field === 1)?.bytes ?? "").toString();
    const name = prefix + nameOf(inner);
    symbols.add(name);
    // A service's methods are its field 2; a message's field 2 are its fields, which nobody looks up.
    if (field !== 6) continue;
    for (const part of inner) if (part.field === 2) symbols.add(`${name}.${nameOf(readFields(part.bytes))}`);
  }
  return { name: texts(1)[0] ?? "", bytes, dependencies: texts(3), symbols };
}

/** Length-delimited fields of a message, in order. @throws BuildError Internal */
function readFields(message: Uint8Array): { readonly field: number; readonly bytes: Uint8Array }[] {
  const fields: { field: number; bytes: Uint8Array }[] = [];
  try {
    const reader = new BinaryReader(message);
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if ((tag & 7) === 2) fields.push({ field: tag >>> 3, bytes: reader.bytes() });
      else reader.skip(tag & 7);
    }
  } catch (error) {
    throw new BuildError(Code.Internal, "proto: cannot parse invalid wire-format data", { cause: error });
  }
  return fields;
}
