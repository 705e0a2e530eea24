/** `[registry."host"]` of buildkitd.toml (docs/buildkitd.toml.md). Keys of the surrounding record are exact host names. */
export interface RegistryConfig {
  /** Asked in order before the host itself, for pull and resolve only; `host[:port][/path/prefix]`. */
  readonly mirrors?: readonly string[];
  /** Speak plain HTTP. Default: only to localhost and loopback addresses. */
  readonly http?: boolean;
  /** Accept any certificate; with `http` also fall back to plain HTTP when TLS fails. */
  readonly insecure?: boolean;
  /** PEM files trusted beside the system's. */
  readonly ca?: readonly string[];
  /** Client certificates, as PEM files. */
  readonly keypair?: readonly { readonly key: string; readonly cert: string }[];
  /** Directories in Docker's certs.d form: `*.crt` = ca, `x.cert` + `x.key` = key pair. */
  readonly tlsconfigdir?: readonly string[];
}
