import { BuildError } from "../errors/build-error.ts";
import { Code } from "../errors/code.ts";

/** A platform as LLB carries it (pb.Platform without the capitals). Always normalized by the functions below. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
  readonly osVersion: string;
  readonly osFeatures: readonly string[];
}

/** containerd `platforms.Normalize` (platforms/database.go): arm64/v8 → arm64, x86_64 → amd64, arm → arm/v7, amd64/v1 → amd64 … */
export function normalizePlatform(platform: Partial<Platform>): Platform {
  const os = (platform.os ?? "").toLowerCase();
  let architecture = (platform.architecture ?? "").toLowerCase();
  let variant = (platform.variant ?? "").toLowerCase();
  switch (architecture) {
    case "i386":
      architecture = "386";
      variant = "";
      break;
    case "x86_64":
    case "x86-64":
    case "amd64":
      architecture = "amd64";
      if (variant === "v1") variant = "";
      break;
    case "aarch64":
    case "arm64":
      architecture = "arm64";
      if (variant === "8" || variant === "v8") variant = "";
      break;
    case "armhf":
      architecture = "arm";
      variant = "v7";
      break;
    case "armel":
      architecture = "arm";
      variant = "v6";
      break;
    case "arm":
      if (variant === "" || variant === "7") variant = "v7";
      else if (["5", "6", "8"].includes(variant)) variant = `v${variant}`;
      break;
  }
  return {
    os: os === "macos" ? "darwin" : os,
    architecture,
    variant,
    osVersion: platform.osVersion ?? "",
    osFeatures: platform.osFeatures ?? [],
  };
}

/** `linux/arm/v7`; the os version is not part of it. */
export function formatPlatform(platform: Platform): string {
  const parts = [platform.os || "unknown", platform.architecture || "unknown"];
  if (platform.variant !== "") parts.push(platform.variant);
  return parts.join("/");
}

const part = /^[A-Za-z0-9_.-]+$/;
const osNames = new Set(["linux", "windows", "darwin", "macos", "freebsd", "netbsd", "openbsd", "wasip1", "js"]);

/** Parses `os/arch[/variant]`, `os` or `arch`; what is missing comes from `host`. @throws BuildError Unknown, as BuildKit: clients print the bare text */
export function parsePlatform(text: string, host: Platform = hostPlatform()): Platform {
  const parts = text.split("/");
  for (const name of parts) {
    if (!part.test(name)) {
      throw new BuildError(
        Code.Unknown,
        `${JSON.stringify(name)} is an invalid component of ${JSON.stringify(text)}: platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument`,
      );
    }
  }
  const [first = "", second, third] = parts;
  if (parts.length === 1) {
    if (osNames.has(first.toLowerCase())) {
      return normalizePlatform({ os: first, architecture: host.architecture, variant: host.variant });
    }
    return normalizePlatform({ os: host.os, architecture: first });
  }
  if (parts.length > 3) {
    throw new BuildError(Code.Unknown, `${JSON.stringify(text)}: cannot parse platform specifier: invalid argument`);
  }
  return normalizePlatform({ os: first, architecture: second ?? "", variant: third ?? "" });
}

const nodeArch: Record<string, string> = { x64: "amd64", arm64: "arm64", arm: "arm", ia32: "386", riscv64: "riscv64" };

/** The platform of this process's machine. */
export function hostPlatform(): Platform {
  return normalizePlatform({ os: process.platform, architecture: nodeArch[process.arch] ?? process.arch });
}

/** True when both name the same os, architecture and variant. */
export function samePlatform(a: Platform, b: Platform): boolean {
  return a.os === b.os && a.architecture === b.architecture && a.variant === b.variant;
}
