export { BlobSwarm, type BlobSwarmOptions, type WantedBlob } from "./blob-swarm.ts";
export { isSwarmAnswer, isSwarmAsk, type SwarmAnswer, type SwarmAsk, type SwarmTransport } from "./messages.ts";
export { Silence } from "./silence.ts";
export { SwarmServer, type SwarmServerOptions } from "./swarm-server.ts";
