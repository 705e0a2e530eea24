import { sourceError } from "../source-identifier.ts";
import { ByteReader } from "./byte-reader.ts";
import { longLength } from "./pgp-packets.ts";

/** Types of signatures (RFC 9580, 5.2.1). */
export const SignatureType = {
  binary: 0x00,
  firstCertification: 0x10,
  lastCertification: 0x13,
  subkeyBinding: 0x18,
  primaryKeyBinding: 0x19,
  keyRevocation: 0x20,
  subkeyRevocation: 0x28,
  certificationRevocation: 0x30,
} as const;

/** What a signature says besides that it was made. Times in Unix milliseconds. */
interface Statements {
  createdAt?: number;
  lifetimeMs?: number;
  /** Hexadecimal, upper case. */
  issuerKeyId?: string;
  /** After the key's creation. */
  keyLifetimeMs?: number;
  keyFlags?: number;
  isPrimaryUserId?: boolean;
  /** A subkey's word that it belongs to its primary key. */
  embedded?: PgpSignature;
}

/** A signature packet of version 4. */
export interface PgpSignature extends Readonly<Statements> {
  readonly type: number;
  readonly keyAlgorithm: number;
  /** Name of node:crypto; undefined for one that nobody should use. */
  readonly hash: string | undefined;
  readonly createdAt: number;
  /** Hashed after what is signed. */
  readonly trailer: Uint8Array;
  /** The numbers of the signature, by algorithm. */
  readonly material: Uint8Array;
}

const hashes: Readonly<Record<number, string>> = { 8: "sha256", 9: "sha384", 10: "sha512" };

/** @throws BuildError for another version, or one that says things which must be understood and are not */
export function parsePgpSignature(body: Uint8Array): PgpSignature {
  const reader = new ByteReader(body);
  const version = reader.uint8();
  if (version !== 4) throw sourceError(`openpgp: unsupported feature: signature packet version ${version}`);
  const type = reader.uint8();
  const keyAlgorithm = reader.uint8();
  const hash = hashes[reader.uint8()];
  const hashed = readSubpackets(reader.bytes(reader.uint16()), true);
  const trailer = trailerOf(body.subarray(0, reader.position));
  // What is not hashed counts only where it proves itself.
  const unhashed = readSubpackets(reader.bytes(reader.uint16()), false);
  reader.bytes(2);
  const { createdAt } = hashed;
  if (createdAt === undefined) throw sourceError("openpgp: invalid data: no creation time in signature");
  return { type, keyAlgorithm, hash, ...unhashed, ...hashed, createdAt, trailer, material: reader.rest() };
}

function trailerOf(prefix: Uint8Array): Uint8Array {
  const trailer = Buffer.alloc(prefix.length + 6);
  trailer.set(prefix);
  trailer.writeUInt16BE(0x04ff, prefix.length);
  trailer.writeUInt32BE(prefix.length, prefix.length + 2);
  return trailer;
}

function readSubpackets(area: Uint8Array, isHashed: boolean): Statements {
  const said: Statements = {};
  const reader = new ByteReader(area);
  while (reader.left > 0) {
    const data = new ByteReader(reader.bytes(longLength(reader, reader.uint8())));
    const kind = data.uint8();
    const isKnown = readProof(kind & 0x7f, data, said) || (isHashed && readStatement(kind & 0x7f, data, said));
    if (isHashed && !isKnown && (kind & 0x80) !== 0) {
      throw sourceError(`openpgp: unsupported feature: unknown critical signature subpacket type ${kind & 0x7f}`);
    }
  }
  return said;
}

/** @returns false for other kinds */
function readProof(kind: number, data: ByteReader, said: Statements): boolean {
  switch (kind) {
    case 16:
      said.issuerKeyId ??= data.bytes(8).toString("hex").toUpperCase();
      return true;
    case 33:
      // Version 4: the id is the end of the fingerprint.
      if (data.uint8() === 4) said.issuerKeyId = data.bytes(20).subarray(-8).toString("hex").toUpperCase();
      return true;
    case 32:
      said.embedded = parsePgpSignature(data.rest());
      return true;
    default:
      return false;
  }
}

/** Kinds that do not matter for the validity of a signature. */
const harmless = new Set([4, 7, 11, 20, 21, 22, 23, 24, 26, 28, 29, 30, 31, 34, 35]);

/** @returns false for unknown kinds */
function readStatement(kind: number, data: ByteReader, said: Statements): boolean {
  switch (kind) {
    case 2:
      said.createdAt = data.uint32() * 1000;
      return true;
    case 3:
      said.lifetimeMs = data.uint32() * 1000;
      return true;
    case 9:
      said.keyLifetimeMs = data.uint32() * 1000;
      return true;
    case 25:
      said.isPrimaryUserId = data.uint8() > 0;
      return true;
    case 27:
      said.keyFlags = data.left > 0 ? data.uint8() : 0;
      return true;
    default:
      return harmless.has(kind);
  }
}
