import { createFileRegistry, type FileRegistry, fromBinary, type JsonValue, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { fileDescriptorSet } from "../api/gen/descriptors.ts";

let registry: FileRegistry | undefined;

/**
 * A marshalled message of `src/api/proto` in the JSON form of protobuf, as Go's protojson writes and reads it.
 * @param typeName full name, `errdefs.Solve`
 */
export function protoJson(typeName: string, message: Uint8Array): JsonValue {
  registry ??= createFileRegistry(fromBinary(FileDescriptorSetSchema, fileDescriptorSet()));
  const type = registry.getMessage(typeName);
  if (type === undefined) throw new Error(`no message ${typeName} in src/api/proto`);
  return toJson(type, fromBinary(type, message), { registry });
}
