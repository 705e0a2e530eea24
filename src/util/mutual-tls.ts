/** One side of TLS where both sides show a certificate: PEM texts. The certificate serves as client and as server. */
export interface MutualTls {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Every peer's certificate comes from here. */
  readonly ca: Buffer;
}
