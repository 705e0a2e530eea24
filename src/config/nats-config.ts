/** How a process reaches NATS. */
export interface NatsConfig {
  /** `nats://host:4222`, `tls://…`, `ws://…`; several are tried in turn. At least one. */
  readonly urls: readonly string[];
  /** A `.creds` file (JWT and seed). */
  readonly credentialsFile?: string;
  readonly token?: string;
  readonly user?: string;
  readonly password?: string;
  /** PEM files. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
}
