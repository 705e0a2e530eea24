import { sourceError } from "../source-identifier.ts";
import { decodeArmor } from "./armor.ts";
import { type PgpSigningKey, readKeyring } from "./pgp-keyring.ts";
import { PacketTag, readPackets } from "./pgp-packets.ts";
import { type PgpSignature, parsePgpSignature, SignatureType } from "./pgp-signature.ts";

type Content = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export interface PgpPolicy {
  /** Else what counts is that the key had not expired when it signed. */
  readonly rejectExpiredKeys: boolean;
  /** Unix milliseconds. */
  readonly now: number;
}

/** RSA, RSA for signing, ECDSA, EdDSA. */
const keyAlgorithms = new Set([1, 3, 19, 22]);
const minRsaBits = 2048;
const maxClockSkewMs = 5 * 60_000;

/**
 * Checks a detached signature in ASCII armor over some content (BuildKit util/pgpsign).
 * @param publicKeys one or more armored blocks
 * @throws BuildError unless one of the keys has made it and may be trusted with it
 */
export async function verifyPgpSignature(
  content: Content,
  signature: string,
  publicKeys: string,
  policy: PgpPolicy,
): Promise<void> {
  const parsed = parseArmored(signature);
  const keys = readKeyring(publicKeys).flatMap(({ signingKeys }) => signingKeys);
  checkAlgorithms(parsed);
  const { issuerKeyId } = parsed;
  if (issuerKeyId === undefined) throw sourceError("openpgp: invalid data: signature doesn't have an issuer");
  const signer = keys.find(({ key }) => key.id === issuerKeyId);
  try {
    if (signer === undefined) throw sourceError("openpgp: signature made by unknown entity");
    await checkContent(content, parsed, signer);
    checkValidity(parsed, signer, policy.rejectExpiredKeys ? policy.now : parsed.createdAt);
    checkKeyLengths(signer);
  } catch (error) {
    throw sourceError(`signature by ${issuerKeyId}: ${(error as Error).message}`, error);
  }
  if (parsed.createdAt > policy.now + maxClockSkewMs) {
    throw sourceError(`signature creation time is in the future: ${new Date(parsed.createdAt).toISOString()}`);
  }
}

function parseArmored(text: string): PgpSignature {
  const [block] = decodeArmor(text);
  if (block === undefined) throw sourceError("failed to decode armored signature: EOF");
  for (const { tag, body } of readPackets(block.data)) {
    if (tag === PacketTag.signature) return parsePgpSignature(body);
  }
  throw sourceError("no signature packet found");
}

function checkAlgorithms({ hash, keyAlgorithm }: PgpSignature): void {
  if (hash === undefined) throw sourceError("rejecting weak/unknown hash");
  if (!keyAlgorithms.has(keyAlgorithm)) throw sourceError(`rejecting unsupported pubkey algorithm: ${keyAlgorithm}`);
}

async function checkContent(content: Content, signature: PgpSignature, { key }: PgpSigningKey): Promise<void> {
  if (signature.type !== SignatureType.binary) {
    throw sourceError(`openpgp: unsupported feature: signature type ${signature.type}`);
  }
  const check = key.check(signature);
  for await (const chunk of content) check.update(chunk);
  check.update(signature.trailer);
  if (!check.holds()) throw sourceError("openpgp: invalid signature: verification failure");
}

/** At a time. A lifetime of zero has no end. */
function checkValidity(signature: PgpSignature, signer: PgpSigningKey, at: number): void {
  const { key, certificate, binding, isRevoked } = signer;
  const { primary, selfSignature, revocation } = certificate;
  if (revocation !== undefined || isRevoked) throw sourceError("openpgp: signature made by revoked key");
  const isWithin = (start: number, lifetimeMs = 0) => start <= at && (lifetimeMs === 0 || at <= start + lifetimeMs);
  for (const [owned, by] of [[primary, selfSignature] as const, [key, binding] as const]) {
    if (!isWithin(owned.createdAt, by.keyLifetimeMs)) throw sourceError("openpgp: key expired");
  }
  for (const one of [signature, selfSignature, binding, binding.embedded]) {
    if (one !== undefined && !isWithin(one.createdAt, one.lifetimeMs)) throw sourceError("openpgp: signature expired");
  }
}

function checkKeyLengths({ key, certificate: { primary } }: PgpSigningKey): void {
  for (const { rsaBits } of [primary, key]) {
    if (rsaBits !== undefined && rsaBits < minRsaBits) throw sourceError(`RSA key too short: ${rsaBits} bits`);
  }
}
