import { execFile } from "node:child_process";
import { statfs } from "node:fs/promises";
import os from "node:os";
import { promisify } from "node:util";
import { ControlClient, connectDaemon } from "../../src/client/index.ts";
import { version } from "../../src/version.ts";

const run = promisify(execFile);

/** Under what conditions figures were taken. */
export interface Conditions {
  readonly cpu: string;
  readonly memory: string;
  readonly system: string;
  readonly filesystem: string;
  readonly versions: string;
  readonly peer: string;
  readonly client: string;
  readonly loadAtStart: string;
}

export async function conditions(directory: string, client: string, peer: string | undefined): Promise<Conditions> {
  const [load] = os.loadavg();
  return {
    cpu: `${os.availableParallelism()} × ${os.cpus()[0]?.model.trim() ?? "unknown"}`,
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    filesystem: await filesystemOf(directory),
    versions: `Buildfleet ${version}, Node ${process.version}, ${await firstLine("runc", ["--version"])}`,
    peer: peer === undefined ? "none" : await peerVersion(peer),
    client,
    loadAtStart: load?.toFixed(2) ?? "unknown",
  };
}

async function filesystemOf(directory: string): Promise<string> {
  const names: Readonly<Record<number, string>> = {
    61267: "ext4",
    1481003842: "xfs",
    2435016766: "btrfs",
    16914836: "tmpfs",
  };
  const { type } = await statfs(directory);
  return names[type] ?? `type 0x${type.toString(16)}`;
}

async function firstLine(command: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run(command, [...args]);
    return stdout.split("\n")[0] ?? "";
  } catch {
    return `no ${command}`;
  }
}

/** @throws BuildError when nobody answers */
async function peerVersion(address: string): Promise<string> {
  await using connection = await connectDaemon({ address, timeoutMs: 10_000 });
  const control = new ControlClient(connection);
  const signal = AbortSignal.timeout(10_000);
  const [worker] = await control.workers([], signal);
  const info = worker?.BuildkitVersion ?? (await control.info(signal));
  return `${info?.package ?? "BuildKit"} ${info?.version ?? ""} ${info?.revision ?? ""}`.trim();
}
