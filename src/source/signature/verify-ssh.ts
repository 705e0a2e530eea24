import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { sourceError } from "../source-identifier.ts";
import { decodeArmor } from "./armor.ts";
import { ByteReader, padNumber } from "./byte-reader.ts";

const magic = "SSHSIG";
const hashes = new Set(["sha256", "sha512"]);

/**
 * Checks a signature of ssh-keygen over some content (OpenSSH PROTOCOL.sshsig; BuildKit util/gitutil/gitsign).
 * @param authorizedKey a line as in `authorized_keys`
 * @param namespace what it must have been made for
 * @throws BuildError unless the key has made it
 */
export function verifySshSignature(
  content: Uint8Array,
  signature: string,
  authorizedKey: string,
  namespace: string,
): void {
  const parsed = parseSignature(signature);
  if (parsed.version !== 1) throw sourceError(`unsupported SSH signature version: ${parsed.version}`);
  if (!hashes.has(parsed.hash)) throw sourceError(`unsupported SSH signature hash algorithm: ${parsed.hash}`);
  if (parsed.namespace !== namespace) {
    throw sourceError(`unexpected SSH signature namespace: ${JSON.stringify(parsed.namespace)}`);
  }
  const key = parseAuthorizedKey(authorizedKey);
  if (!key.equals(parsed.publicKey)) throw sourceError("failed to verify ssh signature: public key does not match");
  const digest = createHash(parsed.hash).update(content).digest();
  const signed = Buffer.concat([
    Buffer.from(magic),
    ...[parsed.namespace, parsed.reserved, parsed.hash, digest].map(sshString),
  ]);
  let holds = false;
  try {
    holds = isSignedBy(key, parsed.signature, signed);
  } catch (error) {
    throw sourceError(`failed to verify ssh signature: ${(error as Error).message}`, error);
  }
  if (!holds) throw sourceError("failed to verify ssh signature: signature did not verify");
}

function parseSignature(text: string) {
  const block = decodeArmor(text).find(({ type }) => type === "SSH SIGNATURE");
  if (block === undefined) throw sourceError("failed to decode ssh signature PEM block");
  try {
    const reader = new ByteReader(block.data);
    if (reader.bytes(magic.length).toString("latin1") !== magic) throw sourceError("invalid magic header");
    return {
      version: reader.uint32(),
      publicKey: reader.string(),
      namespace: reader.string().toString("utf8"),
      reserved: reader.string(),
      hash: reader.string().toString("utf8"),
      signature: reader.string(),
    };
  } catch (error) {
    throw sourceError(`failed to parse ssh signature: ${(error as Error).message}`, error);
  }
}

/** The first key of a text; options before it do not matter. */
function parseAuthorizedKey(text: string): Buffer {
  for (const line of text.split("\n")) {
    if (line.trimStart().startsWith("#")) continue;
    const [, type = "", base64 = ""] = /(?:^|\s)([a-z0-9@.-]+)\s+(AAAA[A-Za-z0-9+/]+=*)(?:\s|$)/.exec(line) ?? [];
    const key = Buffer.from(base64, "base64");
    if (type !== "" && key.includes(sshString(type)) && key.indexOf(sshString(type)) === 0) return key;
  }
  throw sourceError("failed to parse ssh public key: ssh: no key found");
}

const curves: Readonly<Record<string, { readonly crv: string; readonly hash: string; readonly size: number }>> = {
  nistp256: { crv: "P-256", hash: "sha256", size: 32 },
  nistp384: { crv: "P-384", hash: "sha384", size: 48 },
  nistp521: { crv: "P-521", hash: "sha512", size: 66 },
};
const rsaHashes: Readonly<Record<string, string>> = { "rsa-sha2-256": "sha256", "rsa-sha2-512": "sha512" };

function isSignedBy(keyBlob: Uint8Array, signatureBlob: Uint8Array, signed: Uint8Array): boolean {
  const key = new ByteReader(keyBlob);
  const signature = new ByteReader(signatureBlob);
  const type = key.string().toString("utf8");
  const format = signature.string().toString("utf8");
  const value = signature.string();
  if (type === "ssh-rsa") {
    const [e, n] = [key.string(), key.string()];
    const hash = rsaHashes[format];
    return hash !== undefined && verify(hash, signed, jwk({ kty: "RSA", n: base64(n), e: base64(e) }), value);
  }
  if (format !== type) return false;
  // Keys on a device sign some facts of it as well.
  const isOnDevice = type.startsWith("sk-");
  if (type === "ssh-ed25519" || type === "sk-ssh-ed25519@openssh.com") {
    const point = key.string();
    const data = isOnDevice ? deviceSigned(key, signature, signed) : signed;
    return verify(null, data, jwk({ kty: "OKP", crv: "Ed25519", x: base64(point) }), value);
  }
  const curve = /^(?:sk-)?ecdsa-sha2-/.test(type) ? curves[key.string().toString("utf8")] : undefined;
  if (curve === undefined) throw sourceError(`unsupported key type ${type}`);
  const point = key.string();
  const data = isOnDevice ? deviceSigned(key, signature, signed) : signed;
  const { crv, hash, size } = curve;
  const coordinate = (start: number) => base64(point.subarray(start, start + size));
  const numbers = new ByteReader(value);
  const rs = Buffer.concat([padNumber(numbers.string(), size), padNumber(numbers.string(), size)]);
  const ec = jwk({ kty: "EC", crv, x: coordinate(1), y: coordinate(1 + size) });
  return verify(hash, data, { key: ec, dsaEncoding: "ieee-p1363" }, rs);
}

/** Flags and counter follow the signature; the application is part of the key (OpenSSH PROTOCOL.u2f). */
function deviceSigned(key: ByteReader, signature: ByteReader, signed: Uint8Array): Uint8Array {
  const hash = (data: Uint8Array) => createHash("sha256").update(data).digest();
  return Buffer.concat([hash(key.string()), signature.bytes(5), hash(signed)]);
}

function jwk(key: Readonly<Record<string, string>>): KeyObject {
  return createPublicKey({ key, format: "jwk" });
}

function base64(number: Uint8Array): string {
  return Buffer.from(number).toString("base64url");
}

function sshString(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value as string);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
