export { decodeCallMetadata, encodeCallMetadata } from "./call-metadata.ts";
export type { Duplex } from "./duplex.ts";
export { listTrees } from "./list-trees.ts";
export { decodePacket, decodeStat, encodeStat, type Packet, PacketType } from "./packet.ts";
export { FileReceiver, type FileReceiverOptions, type Received, type ReceiveOptions } from "./receiver.ts";
export { FileSender, type FileSenderOptions, type SendOptions, type Sent } from "./sender.ts";
export type { SourceEntry, SourceTree } from "./source-tree.ts";
