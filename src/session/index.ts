export { ManagedSessionGroup } from "./managed-session-group.ts";
export { SessionManager, type SessionManagerOptions } from "./session-manager.ts";
export { TracingSessionGroup } from "./tracing-session-group.ts";
export { TunnelSessionCaller } from "./tunnel-session-caller.ts";
