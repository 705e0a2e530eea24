export { AgentLinkClient } from "./agent-link-client.ts";
export { AgentLinkServer, type AgentLinkServerOptions } from "./agent-link-server.ts";
export type { SessionAccess } from "./session-access.ts";
