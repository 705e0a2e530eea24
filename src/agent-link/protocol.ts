import type { ServiceDefinition } from "@grpc/grpc-js";

/**
 * AgentLink: agents dial the coordinator and call into client sessions through it. One bidirectional stream of bytes per call.
 * Request: first message `CallHeader` (msgpack), then the messages of the session call. Response: the messages back; a failed
 * call ends with its gRPC code and a msgpacked WireError in trailer `bf-error-bin`. With `method` empty the coordinator
 * answers one `SessionDescription` and ends.
 */
export interface CallHeader {
  /** Given with the task; opens only the sessions of that task. */
  readonly token: string;
  readonly sessionId: string;
  readonly method: string;
  readonly metadata: Readonly<Record<string, readonly string[]>>;
}

/**
 * Second method: a channel of a task (core/seams/task-channel.ts). Request: first message `ChannelHeader`, then the agent's
 * messages. Response: the coordinator's messages; errors as for session calls.
 */
export interface ChannelHeader {
  /** Given with the task; opens only that task's channels. */
  readonly token: string;
  readonly name: string;
}

export interface SessionDescription {
  readonly sharedKey: string;
  readonly methods: readonly string[];
}

export const errorTrailer = "bf-error-bin";

/** Bytes in flight per stream; gRPC's default of 64 KiB caps a stream at one such window per round trip. */
export const flowControlWindowBytes = 4 << 20;

export const maxMessageBytes = 16 << 20;

const asBuffer = (data: Uint8Array): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

const streamOfBytes = {
  requestStream: true,
  responseStream: true,
  requestSerialize: asBuffer,
  requestDeserialize: (data: Buffer): Uint8Array => data,
  responseSerialize: asBuffer,
  responseDeserialize: (data: Buffer): Uint8Array => data,
} as const;

export const agentLinkService = {
  call: { path: "/buildfleet.v1.AgentLink/Call", ...streamOfBytes },
  channel: { path: "/buildfleet.v1.AgentLink/Channel", ...streamOfBytes },
} as const satisfies ServiceDefinition;

/** Session methods an agent may ask for; what a client serves of them is told in the description. */
export const sessionMethods: readonly string[] = [
  "/moby.filesync.v1.FileSync/DiffCopy",
  "/moby.filesync.v1.FileSend/DiffCopy",
  "/moby.filesync.v1.Auth/Credentials",
  "/moby.filesync.v1.Auth/FetchToken",
  "/moby.filesync.v1.Auth/GetTokenAuthority",
  "/moby.filesync.v1.Auth/VerifyTokenAuthority",
  "/moby.buildkit.secrets.v1.Secrets/GetSecret",
  "/moby.sshforward.v1.SSH/CheckAgent",
  "/moby.sshforward.v1.SSH/ForwardAgent",
  "/moby.upload.v1.Upload/Pull",
  "/containerd.services.content.v1.Content/Info",
  "/containerd.services.content.v1.Content/Read",
  "/containerd.services.content.v1.Content/Status",
  "/containerd.services.content.v1.Content/Write",
  "/containerd.services.content.v1.Content/Abort",
];
