import { spawn } from "node:child_process";
import { access, constants, readdir, rm, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";

/** A program that the demo or its agents run, and the Debian package it comes from. */
export interface Requirement {
  readonly program: string;
  readonly debianPackage: string;
  readonly use: string;
}

export const requirements: readonly Requirement[] = [
  { program: "runc", debianPackage: "runc", use: "runs the containers of build steps" },
  { program: "nats-server", debianPackage: "nats-server", use: "carries tasks and results between the hosts" },
  { program: "docker-registry", debianPackage: "docker-registry", use: "holds the base image and what is built" },
  { program: "busybox", debianPackage: "busybox-static", use: "is the base image" },
  { program: "ip", debianPackage: "iproute2", use: "gives each agent a network of its own" },
];

/** Where Debian puts what is not on every user's PATH. */
const moreDirectories = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];

export function searchPath(): string {
  return [...new Set([...(process.env["PATH"] ?? "").split(delimiter), ...moreDirectories])].join(delimiter);
}

/** @returns the full path of a program, undefined when there is none */
export async function findProgram(program: string): Promise<string | undefined> {
  for (const directory of searchPath().split(delimiter)) {
    const path = join(directory, program);
    if (await executable(path)) return path;
  }
  return undefined;
}

async function executable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

export async function missingRequirements(): Promise<readonly Requirement[]> {
  const found = await Promise.all(requirements.map(({ program }) => findProgram(program)));
  return requirements.filter((_, index) => found[index] === undefined);
}

/**
 * Installs Debian packages, without starting the services that come with some of them: the demo runs its own.
 * @throws Error when this is no Debian, or apt-get fails
 */
export async function installPackages(packages: readonly string[], signal: AbortSignal): Promise<void> {
  if ((await findProgram("apt-get")) === undefined) {
    throw new Error(`this machine has no apt-get; please install what corresponds to Debian's ${packages.join(", ")}`);
  }
  const lists = await readdir("/var/lib/apt/lists").catch(() => []);
  if (!lists.some((name) => name.endsWith("_Packages") || name.includes("_Packages."))) await apt(["update"], signal);
  await using _ = await withoutServiceStarts();
  try {
    await apt(["install", "-y", "--no-install-recommends", ...packages], signal);
  } catch {
    signal.throwIfAborted();
    // Lists that are too old name files that are gone.
    await apt(["update"], signal);
    await apt(["install", "-y", "--no-install-recommends", ...packages], signal);
  }
}

/** Debian's way to say that nothing may be started now (invoke-rc.d). A policy of the machine's own is left alone. */
async function withoutServiceStarts(): Promise<AsyncDisposable> {
  const path = "/usr/sbin/policy-rc.d";
  try {
    await writeFile(path, "#!/bin/sh\nexit 101\n", { mode: 0o755, flag: "wx" });
  } catch {
    return { [Symbol.asyncDispose]: async () => {} };
  }
  return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
}

async function apt(args: readonly string[], signal: AbortSignal): Promise<void> {
  const child = spawn("apt-get", ["-qq", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-4000);
    });
  }
  const stop = () => child.kill("SIGTERM");
  signal.addEventListener("abort", stop, { once: true });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("close", resolve);
      child.once("error", reject);
    });
    signal.throwIfAborted();
    if (code !== 0) throw new Error(`apt-get ${args.join(" ")} failed:\n${said.trim()}`);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
