export { AgentLinkClient } from "./agent-link-client.ts";
export { AgentLinkServer, type AgentLinkServerOptions } from "./agent-link-server.ts";
export { LocalChannels } from "./local-channels.ts";
export type { ChannelAccess, SessionAccess } from "./session-access.ts";
