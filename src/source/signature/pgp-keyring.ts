import { sourceError } from "../source-identifier.ts";
import { decodeArmor } from "./armor.ts";
import { PacketTag, type PgpPacket, readPackets } from "./pgp-packets.ts";
import { PgpPublicKey } from "./pgp-public-key.ts";
import { type PgpSignature, parsePgpSignature, SignatureType } from "./pgp-signature.ts";

const signFlag = 0x02;

/** A key that may have signed. */
export interface PgpSigningKey {
  readonly key: PgpPublicKey;
  readonly certificate: PgpCertificate;
  /** By which the owner says what the key is for: over a user id, or a subkey. */
  readonly binding: PgpSignature;
  readonly isRevoked: boolean;
}

/** One primary key with what its owner has signed about it and its subkeys; all else is left out (RFC 9580, 10.1). */
export interface PgpCertificate {
  readonly primary: PgpPublicKey;
  /** The latest over a user id that is not revoked, one that is marked as the primary first. */
  readonly selfSignature: PgpSignature;
  /** Why the primary key is revoked; undefined when it is not. */
  readonly revocation: PgpSignature | undefined;
  readonly signingKeys: readonly PgpSigningKey[];
}

/** All certificates of one or several armored blocks. @throws BuildError when there is none */
export function readKeyring(armored: string): readonly PgpCertificate[] {
  const blocks = decodeArmor(armored);
  if (blocks.length === 0) throw sourceError("failed to read armored public key: no armored data found");
  const found = blocks.flatMap(({ type, data }) => {
    if (type !== "PGP PUBLIC KEY BLOCK" && type !== "PGP PRIVATE KEY BLOCK") {
      throw sourceError(`expected public or private key block, got: ${type}`);
    }
    try {
      return splitCertificates([...readPackets(data)]).flatMap((packets) => readCertificate(packets) ?? []);
    } catch (error) {
      throw sourceError(`failed to read armored public key: ${(error as Error).message}`, error);
    }
  });
  if (found.length === 0) throw sourceError("failed to read armored public key: no usable key found");
  return found;
}

const isPrimary = ({ tag }: PgpPacket) => tag === PacketTag.publicKey || tag === PacketTag.secretKey;

function splitCertificates(packets: readonly PgpPacket[]): readonly (readonly PgpPacket[])[] {
  const starts = packets.flatMap((packet, index) => (isPrimary(packet) ? [index] : []));
  return starts.map((start, index) => packets.slice(start, starts[index + 1]));
}

/** A packet of a certificate, and the signatures that follow it. */
interface Signed {
  readonly packet: PgpPacket;
  readonly signatures: PgpSignature[];
}

function readCertificate(packets: readonly PgpPacket[]): PgpCertificate | undefined {
  const [own, ...parts] = withSignatures(packets);
  const primary = own && publicKey(own.packet);
  if (own === undefined || primary === undefined) return undefined;
  const userIds = parts.filter(({ packet }) => packet.tag === PacketTag.userId);
  const selfSignature = best(userIds.flatMap((userId) => selfSignatureOf(primary, userId) ?? []));
  if (selfSignature === undefined) return undefined;
  const revocation = own.signatures.find(
    (signature) => signature.type === SignatureType.keyRevocation && primary.signed(signature, primary.signedForm),
  );
  const signingKeys: PgpSigningKey[] = [];
  const certificate = { primary, selfSignature, revocation, signingKeys };
  if (maySign(selfSignature)) {
    signingKeys.push({ key: primary, certificate, binding: selfSignature, isRevoked: revocation !== undefined });
  }
  for (const part of parts) {
    const subkey = signingSubkey(primary, part);
    if (subkey !== undefined) signingKeys.push({ ...subkey, certificate });
  }
  return certificate;
}

function withSignatures(packets: readonly PgpPacket[]): readonly Signed[] {
  const parts: Signed[] = [];
  for (const packet of packets) {
    if (packet.tag !== PacketTag.signature) parts.push({ packet, signatures: [] });
    else parts.at(-1)?.signatures.push(...understood(packet));
  }
  return parts;
}

/** What cannot be understood says nothing. */
function understood({ body }: PgpPacket): readonly PgpSignature[] {
  try {
    return [parsePgpSignature(body)];
  } catch {
    return [];
  }
}

function publicKey({ tag, body }: PgpPacket): PgpPublicKey | undefined {
  try {
    return new PgpPublicKey(body, tag === PacketTag.secretKey || tag === PacketTag.secretSubkey);
  } catch {
    return undefined;
  }
}

function selfSignatureOf(primary: PgpPublicKey, { packet, signatures }: Signed): PgpSignature | undefined {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(packet.body.length);
  const signedForm = Buffer.concat([primary.signedForm, Uint8Array.of(0xb4), length, packet.body]);
  const own = signatures.filter(
    (signature) => signature.issuerKeyId === primary.id && primary.signed(signature, signedForm),
  );
  if (own.some(({ type }) => type === SignatureType.certificationRevocation)) return undefined;
  return best(
    own.filter(({ type }) => SignatureType.firstCertification <= type && type <= SignatureType.lastCertification),
  );
}

/** Both sides must have signed: else anybody could claim somebody else's subkey. */
function signingSubkey(
  primary: PgpPublicKey,
  { packet, signatures }: Signed,
): Omit<PgpSigningKey, "certificate"> | undefined {
  if (packet.tag !== PacketTag.publicSubkey && packet.tag !== PacketTag.secretSubkey) return undefined;
  const key = publicKey(packet);
  if (key === undefined) return undefined;
  const own = signatures.filter((signature) => primary.signed(signature, primary.signedForm, key.signedForm));
  const binding = best(own.filter(({ type }) => type === SignatureType.subkeyBinding));
  const back = binding?.embedded;
  const isBound =
    back?.type === SignatureType.primaryKeyBinding && key.signed(back, primary.signedForm, key.signedForm);
  if (binding === undefined || !maySign(binding) || !isBound) return undefined;
  return { key, binding, isRevoked: own.some(({ type }) => type === SignatureType.subkeyRevocation) };
}

function maySign({ keyFlags }: PgpSignature): boolean {
  return keyFlags !== undefined && (keyFlags & signFlag) !== 0;
}

function best(signatures: readonly PgpSignature[]): PgpSignature | undefined {
  const rank = ({ isPrimaryUserId = false }: PgpSignature) => Number(isPrimaryUserId);
  return signatures.toSorted((a, b) => rank(b) - rank(a) || b.createdAt - a.createdAt)[0];
}
