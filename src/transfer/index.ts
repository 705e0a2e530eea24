export { BlobServer, type BlobServerOptions } from "./blob-server.ts";
export { fleetKey } from "./fleet-key.ts";
export { HttpBlobTransport } from "./http-blob-transport.ts";
export { metered } from "./metered.ts";
export { MeteredBlobTransport } from "./metered-blob-transport.ts";
export { BlobSwarm, type BlobSwarmOptions, Silence, SwarmServer, type WantedBlob } from "./swarm/index.ts";
export { TracingBlobTransport } from "./tracing-blob-transport.ts";
export { TransferMeter } from "./transfer-meter.ts";
export { TransferTokens } from "./transfer-tokens.ts";
