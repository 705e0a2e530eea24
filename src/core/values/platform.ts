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

const component = /^[A-Za-z0-9_.-]+$/;
/** With version and features: `windows(10.0.17763+win32k)`. */
const osComponent = /^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?$/;

const osNames = new Set(
  "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris windows zos".split(
    " ",
  ),
);
const architectures = new Set(
  (
    "386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le " +
    "ppc riscv riscv64 s390 s390x sparc sparc64 wasm"
  ).split(" "),
);

/**
 * Parses `os/arch[/variant]`, `os` or `arch`; what is missing comes from `host`. Only a lone word has to be a known one
 * (containerd platforms.Parse).
 *
 * @throws BuildError Unknown, as BuildKit: clients print the bare text
 */
export function parsePlatform(text: string, host: Platform = hostPlatform()): Platform {
  if (text.includes("*")) throw invalid(`${JSON.stringify(text)}: wildcards not yet supported`);
  const [first = "", second, third, ...rest] = text.split("/");
  const others = [second, third, ...(rest.length > 0 ? [rest.join("/")] : [])].filter((part) => part !== undefined);
  const [, name, osVersion = "", features = ""] = osComponent.exec(first) ?? [];
  if (name === undefined) throw noMatch(first, "OS component", text, "OSAndVersion", osComponent);
  for (const other of others) {
    if (!component.test(other)) throw noMatch(other, "component", text, "platform", component);
  }
  if (others.length > 2) throw invalid(`${JSON.stringify(text)}: cannot parse platform specifier`);
  const os = {
    os: name,
    osVersion: decoded(osVersion, text),
    osFeatures: features
      .split("+")
      .filter((feature) => feature !== "")
      .map((feature) => decoded(feature, text)),
  };
  const [architecture, variant = ""] = others;
  if (architecture !== undefined) return normalizePlatform({ ...os, architecture, variant });
  const alone = normalizePlatform(os);
  if (osNames.has(alone.os)) return { ...alone, architecture: host.architecture, variant: host.variant };
  const platform = normalizePlatform({ os: host.os, architecture: first });
  if (architectures.has(platform.architecture)) return platform;
  throw invalid(`${JSON.stringify(text)}: unknown operating system or architecture`);
}

function decoded(option: string, text: string): string {
  try {
    return decodeURIComponent(option);
  } catch {
    throw invalid(`${JSON.stringify(text)} has an invalid OS option ${JSON.stringify(option)}`);
  }
}

function noMatch(name: string, kind: string, text: string, specifier: string, pattern: RegExp): BuildError {
  return invalid(
    `${JSON.stringify(name)} is an invalid ${kind} of ${JSON.stringify(text)}: ${specifier} specifier component must match ${JSON.stringify(pattern.source)}`,
  );
}

function invalid(message: string): BuildError {
  return new BuildError(Code.Unknown, `${message}: invalid argument`);
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
