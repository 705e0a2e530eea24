import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { FleetTlsConfig } from "../../src/config/index.ts";
import type { MutualTls } from "../../src/util/mutual-tls.ts";

const run = promisify(execFile);
const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** A CA made with openssl, in a directory of the caller's. */
export class CertificateAuthority {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async create(directory: string): Promise<CertificateAuthority> {
    await mkdir(directory);
    const ca = new CertificateAuthority(directory);
    const files = ["-keyout", ca.#at("ca.key"), "-out", ca.#at("ca.pem")];
    await run("openssl", ["req", "-x509", ...newKey, ...files, "-subj", "/CN=ca", "-days", "2"]);
    return ca;
  }

  /** @param names as in subjectAltName: `DNS:localhost,IP:127.0.0.1` */
  async issue(name: string, names: string): Promise<FleetTlsConfig> {
    const [key, cert, request, extensions] = [`${name}.key`, `${name}.pem`, `${name}.csr`, `${name}.ext`].map((file) =>
      this.#at(file),
    ) as [string, string, string, string];
    const ca = this.#at("ca.pem");
    await run("openssl", ["req", ...newKey, "-keyout", key, "-out", request, "-subj", `/CN=${name}`]);
    await writeFile(extensions, `subjectAltName=${names}\n`);
    await run("openssl", [
      ...["x509", "-req", "-in", request, "-CA", ca, "-CAkey", this.#at("ca.key"), "-CAcreateserial"],
      ...["-out", cert, "-days", "2", "-extfile", extensions],
    ]);
    return { cert, key, ca };
  }

  #at(file: string): string {
    return join(this.#directory, file);
  }
}

/** What `other` shows, checking peers as `own` does. */
export async function withCertificateOf(own: FleetTlsConfig, other: FleetTlsConfig): Promise<MutualTls> {
  const [cert, key, ca] = await Promise.all([other.cert, other.key, own.ca].map((path) => readFile(path)));
  if (cert === undefined || key === undefined || ca === undefined) throw new Error("no certificate");
  return { cert, key, ca };
}
