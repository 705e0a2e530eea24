import { lstat } from "node:fs/promises";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { ContainerEdits, DeviceNode } from "../../core/values/container-edits.ts";
import { deviceMajor, deviceMinor } from "../../util/sys/index.ts";

/** What device nodes leave open is taken from the machine's (CDI specification). @throws BuildError for one that is missing */
export async function withHostDevices(edits: ContainerEdits): Promise<ContainerEdits> {
  return { ...edits, deviceNodes: await Promise.all(edits.deviceNodes.map(completed)) };
}

async function completed(node: DeviceNode): Promise<DeviceNode> {
  const hostPath = node.hostPath ?? node.path;
  const isComplete = node.type !== undefined && ((node.major ?? 0) !== 0 || node.type === "p");
  let found: Awaited<ReturnType<typeof onHost>>;
  try {
    found = await onHost(hostPath);
  } catch (error) {
    if (isComplete) return node;
    const reason = BuildError.from(error).message;
    throw new BuildError(Code.Unknown, `failed to stat CDI host device ${JSON.stringify(hostPath)}: ${reason}`);
  }
  const { fileMode, ...numbers } = found;
  const withMode = { fileMode, ...node };
  if (isComplete) return withMode;
  const type = node.type ?? numbers.type;
  if (type !== numbers.type) {
    const paths = `${JSON.stringify(node.path)}, ${JSON.stringify(hostPath)}`;
    throw new BuildError(Code.Unknown, `CDI device (${paths}), host type mismatch (${type}, ${numbers.type})`);
  }
  return type === "p" ? { ...withMode, type } : { ...withMode, ...numbers };
}

async function onHost(path: string) {
  const stats = await lstat(path, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    throw new Error(error.code === "ENOENT" ? "no such file or directory" : error.message);
  });
  const type = stats.isBlockDevice() ? "b" : stats.isCharacterDevice() ? "c" : stats.isFIFO() ? "p" : undefined;
  if (type === undefined) throw new Error("not a device node");
  const fileMode = Number(stats.mode & 0o7777n);
  return { type, major: deviceMajor(stats.rdev), minor: deviceMinor(stats.rdev), fileMode } as const;
}
