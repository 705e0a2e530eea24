import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { emulatedArchitectures, programHeader } from "./architectures.ts";

/** Where the kernel shows and takes interpreters of foreign programs (Linux Documentation/admin-guide/binfmt-misc.rst). */
export const binfmtDirectory = "/proc/sys/fs/binfmt_misc";

/** Architectures whose programs this machine's kernel gives to an interpreter that is there in any container. */
export function registeredArchitectures(directory = binfmtDirectory): ReadonlySet<string> {
  const entries = readEntries(directory).flatMap((text) => parseEntry(text) ?? []);
  const isTaken = (architecture: string) => {
    const { magic } = programHeader(architecture);
    return entries.some((entry) =>
      entry.magic.every((byte, i) => ((byte ^ (magic[i] ?? 0)) & (entry.mask[i] ?? 0xff)) === 0),
    );
  };
  return new Set(emulatedArchitectures.filter(isTaken));
}

/** What is written to `register` to have an interpreter for programs of the architecture; opened now, for all containers. */
export function registration(architecture: string, interpreter: string): string {
  const { magic, mask } = programHeader(architecture);
  // P: programs see their own name; C: set-id programs work; F: the interpreter need not be in the container.
  return `:buildfleet-${architecture}:M::${escaped(magic)}:${escaped(mask)}:${interpreter}:PCF`;
}

function escaped(bytes: Buffer): string {
  return bytes.toString("hex").replaceAll(/../g, "\\x$&");
}

function readEntries(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name !== "register" && name !== "status")
      .map((name) => readFileSync(join(directory, name), "utf8"));
  } catch {
    // Not mounted, or an entry has just gone.
    return [];
  }
}

/** @returns undefined for one that is off, that goes by names of files, or whose interpreter would have to be in the container */
function parseEntry(text: string): { readonly magic: Buffer; readonly mask: Buffer } | undefined {
  const field = (name: string) => new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1];
  const magic = field("magic");
  if (!text.startsWith("enabled") || !/^flags:.*F/m.test(text) || magic === undefined || field("offset") !== "0") {
    return undefined;
  }
  return { magic: Buffer.from(magic, "hex"), mask: Buffer.from(field("mask") ?? "", "hex") };
}
