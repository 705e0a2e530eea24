import { basename } from "node:path";
import { goParseInt } from "./go-text.ts";

/** How a source that is one file is written: http and blob sources share these attributes. */
export interface FileAttributes {
  /** Wanted name, or empty. */
  readonly filename: string;
  /** Permission bits; 0 = default (0600). */
  readonly perm: number;
  readonly uid: number;
  readonly gid: number;
}

export const defaultFilePerm = 0o600;

export function parseFileAttributes(attrs: Readonly<Record<string, string>>): FileAttributes {
  const number = (name: string) => (attrs[name] === undefined ? 0 : goParseInt(attrs[name]));
  return {
    filename: attrs["http.filename"] ?? "",
    perm: number("http.perm"),
    uid: number("http.uid"),
    gid: number("http.gid"),
  };
}

/** The last part of a path as a plain file name, `download` where there is none (BuildKit source/util/pathutil). */
export function safeFileName(text: string): string {
  const name = basename(text.trim());
  const hasControl = /\p{Cc}/u.test(name);
  return name === "" || name === "." || name === ".." || name === "/" || hasControl ? "download" : name;
}
