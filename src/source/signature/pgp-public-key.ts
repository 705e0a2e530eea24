import { createHash, createPublicKey, createVerify, type KeyObject, verify } from "node:crypto";
import { sourceError } from "../source-identifier.ts";
import { ByteReader, padNumber } from "./byte-reader.ts";
import type { PgpSignature } from "./pgp-signature.ts";

const curves: Readonly<Record<string, { readonly crv: string; readonly size: number }>> = {
  "2a8648ce3d030107": { crv: "P-256", size: 32 },
  "2b81040022": { crv: "P-384", size: 48 },
  "2b81040023": { crv: "P-521", size: 66 },
};
const ed25519Curve = "2b06010401da470f01";

/** Checks one signature over what it is fed. */
export interface PgpCheck {
  update(data: Uint8Array): void;
  /** Call once, after all data and the signature's trailer. */
  holds(): boolean;
}

/** How signatures are made with a key. */
interface KeyMaterial {
  readonly key: KeyObject;
  /** As node:crypto takes it. */
  signature(reader: ByteReader): Buffer;
  /** RSA only. */
  readonly bits?: number;
  /** The hash is what is signed. */
  readonly signsHash: boolean;
}

/** A public key or subkey of version 4 (RFC 9580, 5.5.2). */
export class PgpPublicKey {
  /** Hexadecimal, upper case. */
  readonly id: string;
  /** Unix milliseconds. */
  readonly createdAt: number;
  /** What signatures about the key are made over. */
  readonly signedForm: Uint8Array;
  readonly #material: KeyMaterial | undefined;

  /** @param body of a packet; that of a secret key begins with the public one. @throws BuildError */
  constructor(body: Uint8Array, isSecret: boolean) {
    const reader = new ByteReader(body);
    const version = reader.uint8();
    if (version !== 4) throw sourceError(`openpgp: unsupported feature: public key version ${version}`);
    this.createdAt = reader.uint32() * 1000;
    this.#material = readMaterial(reader.uint8(), reader);
    if (isSecret && this.#material === undefined)
      throw sourceError("openpgp: unsupported feature: secret key algorithm");
    const own = isSecret ? body.subarray(0, reader.position) : body;
    this.signedForm = Buffer.concat([Uint8Array.of(0x99, own.length >> 8, own.length & 0xff), own]);
    this.id = createHash("sha1").update(this.signedForm).digest().subarray(-8).toString("hex").toUpperCase();
  }

  /** Length of an RSA key. */
  get rsaBits(): number | undefined {
    return this.#material?.bits;
  }

  /** @throws BuildError for algorithms that are not supported */
  check({ hash, material }: PgpSignature): PgpCheck {
    if (this.#material === undefined || hash === undefined) {
      throw sourceError("openpgp: unsupported feature: algorithm of key or hash");
    }
    const { key, signature, signsHash } = this.#material;
    const value = signature(new ByteReader(material));
    if (signsHash) {
      const digest = createHash(hash);
      return { update: (data) => void digest.update(data), holds: () => verify(null, digest.digest(), key, value) };
    }
    const check = createVerify(hash);
    return {
      update: (data) => void check.update(data),
      holds: () => check.verify({ key, dsaEncoding: "ieee-p1363" }, value),
    };
  }

  /** True when the key has made a signature over the data. */
  signed(signature: PgpSignature, ...data: readonly Uint8Array[]): boolean {
    try {
      const check = this.check(signature);
      for (const part of [...data, signature.trailer]) check.update(part);
      return check.holds();
    } catch {
      return false;
    }
  }
}

/** Undefined for a key that is not for signing, or of an algorithm which is not accepted. */
function readMaterial(algorithm: number, reader: ByteReader): KeyMaterial | undefined {
  switch (algorithm) {
    case 1:
    case 2:
    case 3:
      return rsa(reader.mpi(), reader.mpi());
    case 19:
      return ecdsa(reader.bytes(reader.uint8()).toString("hex"), reader.mpi());
    case 22: {
      const oid = reader.bytes(reader.uint8()).toString("hex");
      const point = reader.mpi();
      return oid === ed25519Curve && point.length === 33 && point[0] === 0x40
        ? ed25519(point.subarray(1), (numbers) => [padNumber(numbers.mpi(), 32), padNumber(numbers.mpi(), 32)])
        : undefined;
    }
    case 27:
      return ed25519(reader.bytes(32), (numbers) => [numbers.bytes(64)]);
    default:
      return undefined;
  }
}

function rsa(n: Buffer, e: Buffer): KeyMaterial {
  const jwk = { kty: "RSA", n: n.toString("base64url"), e: e.toString("base64url") };
  const key = createPublicKey({ key: jwk, format: "jwk" });
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  return { key, bits, signsHash: false, signature: (reader) => padNumber(reader.mpi(), (bits + 7) >> 3) };
}

function ecdsa(oid: string, point: Buffer): KeyMaterial | undefined {
  const curve = curves[oid];
  if (curve === undefined || point.length !== 2 * curve.size + 1 || point[0] !== 4) return undefined;
  const { crv, size } = curve;
  const coordinate = (start: number) => point.subarray(start, start + size).toString("base64url");
  const key = createPublicKey({ key: { kty: "EC", crv, x: coordinate(1), y: coordinate(1 + size) }, format: "jwk" });
  const signature = (reader: ByteReader) =>
    Buffer.concat([padNumber(reader.mpi(), size), padNumber(reader.mpi(), size)]);
  return { key, signsHash: false, signature };
}

function ed25519(x: Buffer, numbers: (reader: ByteReader) => readonly Buffer[]): KeyMaterial {
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: x.toString("base64url") }, format: "jwk" });
  return { key, signsHash: true, signature: (reader) => Buffer.concat(numbers(reader)) };
}
