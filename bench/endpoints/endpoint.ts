/** A daemon that builds. */
export interface Endpoint {
  readonly name: "ours" | "peer";
  /** `tcp://host:port` or `unix:///path` */
  readonly address: string;
}
