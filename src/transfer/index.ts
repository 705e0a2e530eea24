export { BlobServer, type BlobServerOptions } from "./blob-server.ts";
export { fleetKey } from "./fleet-key.ts";
export { HttpBlobTransport } from "./http-blob-transport.ts";
export { TracingBlobTransport } from "./tracing-blob-transport.ts";
export { TransferTokens } from "./transfer-tokens.ts";
