/** A daemon that builds. */
export interface Endpoint {
  readonly name: "ours" | "peer";
  /** `tcp://host:port` or `unix:///path` */
  readonly address: string;
  /** Process of the daemon; undefined when it is not known, as on another machine. */
  readonly pid?: number | undefined;
}
