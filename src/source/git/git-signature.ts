import { verifyPgpSignature } from "../signature/verify-pgp.ts";
import { verifySshSignature } from "../signature/verify-ssh.ts";
import { sourceError } from "../source-identifier.ts";
import { type GitObject, parseGitObject } from "./git-object.ts";

/** Whose signature a commit, or the tag that names it, must have: attributes `git.sig.…` (map c13). */
export interface GitSignatureOptions {
  /** Armored OpenPGP keys, or one line of SSH's. */
  readonly publicKey: string;
  readonly rejectExpired: boolean;
  /** The tag must be signed; that the commit is does not do. */
  readonly requireSignedTag: boolean;
  /** Only the commit counts. */
  readonly ignoreSignedTag: boolean;
}

export interface NamedObject {
  readonly name: string;
  readonly raw: Uint8Array;
}

/**
 * @param tag present for annotated tags
 * @param now Unix milliseconds
 * @throws BuildError unless the signature is there and good
 */
export async function verifyGitSignature(
  commit: NamedObject,
  tag: NamedObject | undefined,
  options: GitSignatureOptions,
  now: number,
): Promise<void> {
  let tagFailure: unknown;
  if (!options.ignoreSignedTag && tag !== undefined) {
    const object = parseGitObject("tag", tag.raw, tag.name);
    try {
      await verifyObject(object, options, now);
      return;
    } catch (error) {
      tagFailure = error;
    }
  }
  if (options.requireSignedTag) throw tagFailure ?? sourceError("signed tag required but no signed tag found");
  await verifyObject(parseGitObject("commit", commit.raw, commit.name), options, now);
}

async function verifyObject(
  { signature, signed }: GitObject,
  options: GitSignatureOptions,
  now: number,
): Promise<void> {
  if (signature === "") throw sourceError("git object is not signed");
  if (signature.startsWith("-----BEGIN SSH SIGNATURE-----")) {
    verifySshSignature(signed, signature, options.publicKey, "git");
  } else if (signature.startsWith("-----BEGIN PGP SIGNATURE-----")) {
    const policy = { rejectExpiredKeys: options.rejectExpired, now };
    await verifyPgpSignature([signed], signature, options.publicKey, policy);
  } else throw sourceError("invalid signature format");
}
