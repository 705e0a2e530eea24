import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { Duplex } from "node:stream";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";

/** A program whose stdin and stdout are a connection to a daemon. */
export interface DialProgram {
  readonly command: string;
  readonly args: readonly string[];
}

const dialStdio = ["buildctl", "dial-stdio"];
/** Names in Kubernetes; nothing that kubectl could take for a flag. */
const kubeName = /^[a-z0-9.][-a-z0-9.]*$/;

type Parse = (url: URL) => DialProgram;

/** Addresses that buildctl reaches by a program, by their schemes (BuildKit client/connhelper). */
const programs: ReadonlyMap<string, Parse> = new Map<string, Parse>([
  [
    "docker-container",
    (url) => {
      const context = url.searchParams.get("context");
      const flags = context ? [`--context=${context}`] : [];
      return { command: "docker", args: [...flags, "exec", "-i", containerOf(url), ...dialStdio] };
    },
  ],
  ["podman-container", (url) => ({ command: "podman", args: ["exec", "-i", containerOf(url), ...dialStdio] })],
  [
    "nerdctl-container",
    (url) => {
      const namespace = url.searchParams.get("namespace");
      const flags = namespace ? ["--namespace", namespace] : [];
      return { command: "nerdctl", args: ["exec", ...flags, "-i", containerOf(url), ...dialStdio] };
    },
  ],
  ["kube-pod", inPod],
  ["ssh", overSsh],
]);

/** @returns undefined for addresses that are dialled directly. @throws BuildError InvalidArgument */
export function dialProgram(address: string): DialProgram | undefined {
  const url = new URL(address);
  return programs.get(url.protocol.slice(0, -1))?.(url);
}

function containerOf(url: URL): string {
  const name = decodeURIComponent(url.hostname);
  if (name === "") throw invalid(url, "it lacks the name of a container");
  if (name.startsWith("-")) throw invalid(url, "no container has such a name");
  return name;
}

function inPod(url: URL): DialProgram {
  const named = (what: string) => url.searchParams.get(what) ?? "";
  const [namespace, container, pod] = [named("namespace"), named("container"), url.hostname];
  if (pod === "") throw invalid(url, "it lacks the name of a pod");
  for (const name of [namespace, container, pod]) {
    if (name !== "" && !kubeName.test(name)) throw invalid(url, `unsupported name ${JSON.stringify(name)}`);
  }
  const flags = [`--context=${named("context")}`, `--namespace=${namespace}`, "exec", `--container=${container}`];
  return { command: "kubectl", args: [...flags, "-i", pod, "--", ...dialStdio] };
}

function overSsh(url: URL): DialProgram {
  if (url.password !== "") throw invalid(url, "plain-text password is not supported");
  if (url.hostname === "") throw invalid(url, "it lacks a host");
  if (url.search !== "" || url.hash !== "") throw invalid(url, "nothing may follow the path");
  const user = url.username === "" ? [] : ["-l", decodeURIComponent(url.username)];
  const port = url.port === "" ? [] : ["-p", url.port];
  const socket = url.pathname.length > 1 ? ["--addr", `unix://${decodeURIComponent(url.pathname)}`] : [];
  return { command: "ssh", args: [...user, ...port, "--", url.hostname, "buildctl", ...socket, "dial-stdio"] };
}

function invalid(url: URL, why: string): BuildError {
  return new BuildError(Code.InvalidArgument, `invalid daemon address ${JSON.stringify(url.href)}: ${why}`);
}

/** Longest part of what a program says that errors repeat. */
const maxSaidBytes = 2000;

/**
 * Starts a program as a connection; destroying it ends the program. Its end is the connection's error, Unavailable, with what it
 * has written to stderr.
 */
export function runDialProgram(program: DialProgram): Duplex {
  return new ProgramConnection(program);
}

class ProgramConnection extends Duplex {
  readonly #child: ChildProcessWithoutNullStreams;

  constructor({ command, args }: DialProgram) {
    super();
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
    const { stdin, stdout, stderr } = this.#child;
    let said = "";
    stderr.on("data", (data: Buffer) => {
      said = `${said}${data.toString()}`.slice(-maxSaidBytes);
    });
    stdout.on("data", (data: Buffer) => {
      if (!this.push(data)) stdout.pause();
    });
    // It ends with the program, whose end tells why.
    stdin.on("error", () => {});
    const fail = (why: string) => {
      const text = `${command}: ${why}${said === "" ? "" : `: ${said.trim()}`}`;
      this.destroy(new BuildError(Code.Unavailable, text, { infrastructure: true }));
    };
    this.#child.once("error", ({ message }) => fail(message));
    this.#child.once("close", (code, signal) => fail(code === null ? `ended by ${signal}` : `ended with code ${code}`));
  }

  override _read(): void {
    this.#child.stdout.resume();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.#child.stdin.write(chunk, () => done());
  }

  override _final(done: () => void): void {
    this.#child.stdin.end(() => done());
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#child.kill();
    done(error);
  }
}
