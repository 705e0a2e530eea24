import { createHash } from "node:crypto";
import { sourceError } from "../source-identifier.ts";

/** A commit or an annotated tag, and the signature in it (BuildKit util/gitutil/gitobject). */
export interface GitObject {
  /** Armored; empty when there is none. */
  readonly signature: string;
  /** What is signed: the object without it. */
  readonly signed: Uint8Array;
}

const required = { commit: ["tree", "author", "committer"], tag: ["object", "type", "tag", "tagger"] };

/**
 * @param name the object's own, which its bytes must have
 * @throws BuildError
 */
export function parseGitObject(type: "commit" | "tag", raw: Uint8Array, name: string): GitObject {
  checkName(type, raw, name);
  // One character is one byte.
  const text = Buffer.from(raw).toString("latin1");
  const end = text.indexOf("\n\n");
  const headers = end < 0 ? text : text.slice(0, end + 1);
  for (const header of required[type]) {
    if (!new RegExp(`^${header} `, "m").test(headers)) {
      throw sourceError(`invalid ${type} object: missing ${header} header`);
    }
  }
  const { signature, signed } = type === "commit" ? splitCommit(headers, text) : splitTag(headers.length, text);
  return { signature, signed: Buffer.from(signed, "latin1") };
}

function checkName(type: string, raw: Uint8Array, name: string): void {
  const hash = createHash(name.length === 64 ? "sha256" : "sha1");
  const found = hash.update(`${type} ${raw.length}\0`).update(raw).digest("hex");
  if (found !== name) {
    throw sourceError(`${type} object checksum verification failed: expected ${name}, got ${found}`);
  }
}

/** In a header, its lines indented by one blank. */
function splitCommit(headers: string, text: string): { readonly signature: string; readonly signed: string } {
  const signatures: string[] = [];
  const others = headers.replace(/^gpgsig(?:-sha256)? (.*\n(?: .*\n)*)/gm, (_, lines: string) => {
    signatures.push(lines.replace(/^ /gm, ""));
    return "";
  });
  return { signature: signatures.join(""), signed: others + text.slice(headers.length) };
}

/** At the end of the message. */
function splitTag(messageStart: number, text: string): { readonly signature: string; readonly signed: string } {
  const begin = /^-----BEGIN (?:PGP|SSH) SIGNATURE-----$/m;
  const message = text.slice(messageStart);
  const at = message.search(begin);
  if (at < 0) return { signature: "", signed: text };
  return { signature: message.slice(at), signed: text.slice(0, messageStart + at) };
}
