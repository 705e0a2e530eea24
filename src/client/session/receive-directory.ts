import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { decodePacket, encodeStat, type FileReceiver, PacketType } from "../../filesync/index.ts";
import type { ServerCall } from "../../grpc/index.ts";
import { mergeTree } from "./merge-tree.ts";

export interface DirectoryTarget {
  readonly path: string;
  /** Also remove what is there and was not sent. */
  readonly deleteOthers: boolean;
}

/**
 * Receives a tree into a directory that may hold other files. It is written beside them first and moved into place when it
 * is complete, so a broken transfer changes nothing. Everything belongs to the user who runs the client.
 */
export async function receiveDirectory(
  call: ServerCall,
  receiver: FileReceiver,
  target: DirectoryTarget,
): Promise<void> {
  await mkdir(target.path, { recursive: true, mode: 0o700 });
  const partial = await mkdtemp(join(target.path, ".buildfleet-"));
  try {
    const stream = { send: (message: Uint8Array) => call.send(message), messages: ownedByCaller(call.messages) };
    await receiver.receive(stream, { directory: partial, differ: "none", signal: call.signal });
    await mergeTree(partial, target.path, { deleteOthers: target.deleteOthers });
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

/**
 * The packets with owners replaced: only root may give files away, and root should not by accident. They end at FIN, for a
 * daemon that has sent it cancels its call once we have answered, and never half-closes.
 */
async function* ownedByCaller(messages: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  for await (const message of messages) {
    const packet = decodePacket(message);
    if (packet.type !== PacketType.Stat || packet.stat === undefined) {
      yield message;
      if (packet.type === PacketType.Fin) return;
      continue;
    }
    // Packet{stat=2}; its type 0 is not written.
    yield new BinaryWriter()
      .uint32(18)
      .bytes(encodeStat({ ...packet.stat, uid, gid }))
      .finish();
  }
}
