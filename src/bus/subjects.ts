/** Subjects of the fleet, all under `bf.`; credentials may allow an agent only those with its own id. */
export const subjects = {
  /** Heartbeats: AgentRecord. */
  agentHeartbeat: (agentId: string) => `bf.heartbeat.agent.${agentId}`,
  allAgentHeartbeats: "bf.heartbeat.agent.*",
  /** Coordinator heartbeats: CoordinatorBeat. An agent ends tasks of a coordinator that fell silent. */
  coordinatorHeartbeat: (coordinatorId: string) => `bf.heartbeat.coordinator.${coordinatorId}`,
  allCoordinatorHeartbeats: "bf.heartbeat.coordinator.*",
  /** Broadcast by a coordinator that has just started: agents answer with a heartbeat at once. */
  rollCall: "bf.rollcall",
  /** Request: Task → TaskOfferReply. */
  agentTasks: (agentId: string) => `bf.agent.${agentId}.tasks`,
  /** An agent that no coordinator may use any more: AgentEviction. */
  agentsEvicted: "bf.agents.evicted",
  /** Publish: TaskCancel. */
  agentCancel: (agentId: string) => `bf.agent.${agentId}.cancel`,
  /** Request: AgentControlRequest. */
  agentControl: (agentId: string) => `bf.agent.${agentId}.control`,
  /** TaskEvent, published in order. */
  taskEvents: (taskId: string) => `bf.task.${taskId}.events`,
  /** Request: TaskOutcome → empty. */
  taskOutcome: (taskId: string) => `bf.task.${taskId}.outcome`,
  /** Request of an agent: LayerReleaseRequest → ids of those that running builds hold. */
  layerRelease: (coordinatorId: string) => `bf.coordinator.${coordinatorId}.release`,
  /** Request of a coordinator: empty → ids of layers that running builds hold. */
  layersHeld: (coordinatorId: string) => `bf.coordinator.${coordinatorId}.held`,
  /** Request of a draining agent, repeated until all is done: HandoverRequest → HandoverReply. */
  handover: (coordinatorId: string) => `bf.coordinator.${coordinatorId}.handover`,
  /** What became of layers an agent wanted to remove: LayersDropped. */
  layersDropped: "bf.layers.dropped",
  /** Layers that a build has used, published when it lets go of them: their ids. */
  layersUsed: "bf.layers.used",
  /** Directories of cache mounts that an agent has no more: CacheMountsDropped. */
  cacheMountsDropped: "bf.cache-mounts.dropped",
  /** A cache mount that an agent has measured: CacheMountSized. */
  cacheMountSized: "bf.cache-mounts.sized",
  /** Cache mounts that start anew, to all agents: CacheMountsForgotten. */
  cacheMountsForgotten: "bf.cache-mounts.forgotten",
  /** Builds that run at a coordinator, now and then and when one begins or ends: `{ coordinatorId, ref, record? }`. */
  activeBuilds: "bf.builds.active",
  /** Request of another coordinator for the log of a build: `{ ref, reader }` → the next piece. */
  runningLog: (coordinatorId: string) => `bf.coordinator.${coordinatorId}.log`,
  /** SpanRecords of a trace, from agents to the coordinators that keep it with a build's record. */
  traceSpans: (traceId: string) => `bf.trace.${traceId}.spans`,
  /** Broadcast by a coordinator that has just started: the others announce their builds at once. */
  activeBuildsWanted: "bf.builds.wanted",
} as const;
