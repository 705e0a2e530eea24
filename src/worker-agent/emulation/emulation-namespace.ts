import { type ChildProcessByStdio, spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { registration } from "./binfmt.ts";

/*
 * Runs in the new namespaces. Says "ready" before anything needs the users that are mapped then; tries what a container will
 * do (its own /proc); answers each registration with "yes" or "no"; ends when its input does, whatever became of the agent.
 */
const script = `
echo ready && read -r _mapped || exit 1
mount -t binfmt_misc binfmt_misc "$1" && unshare --pid --fork --mount mount -t proc proc "$1" || exit 1
echo mounted
while read -r entry; do
  printf %s "$entry" >"$1/register" && echo yes || echo no
done`;

/** Every user of the machine is itself. */
const identityMap = "0 0 4294967295\n";

/**
 * A user namespace in which the kernel gives programs of other architectures to emulators (binfmt_misc per user namespace,
 * Linux 6.7). Steps join it; neither the machine's own registrations nor other steps notice (ADR-0024). Dispose ends it; steps
 * in it must have ended.
 */
export class EmulationNamespace implements AsyncDisposable {
  readonly architectures: ReadonlySet<string>;
  readonly #holder: Holder;

  private constructor(holder: Holder, architectures: ReadonlySet<string>) {
    this.#holder = holder;
    this.architectures = architectures;
  }

  /**
   * @param directory made if need be; nothing can be seen in it from outside the namespace
   * @param programs emulators by architecture
   * @throws BuildError FailedPrecondition when this kernel, or the sandbox the agent is in, does not allow it
   */
  static async open(directory: string, programs: ReadonlyMap<string, string>): Promise<EmulationNamespace> {
    await mkdir(directory, { recursive: true });
    const holder = new Holder(directory);
    try {
      await holder.expect("ready");
      for (const file of ["uid_map", "gid_map"]) await writeFile(`/proc/${holder.pid}/${file}`, identityMap);
      await holder.ask("mapped", "mounted");
      const architectures = new Set<string>();
      for (const [architecture, program] of programs) {
        if ((await holder.ask(registration(architecture, program))) === "yes") architectures.add(architecture);
      }
      return new EmulationNamespace(holder, architectures);
    } catch (error) {
      await holder[Symbol.asyncDispose]();
      throw new BuildError(
        Code.FailedPrecondition,
        `cannot register emulators in a user namespace (Linux 6.7 or newer can): ${holder.complaint || String(error)}`,
        { cause: error },
      );
    }
  }

  /** For `setns`. @throws BuildError Unavailable when it was ended from outside */
  get path(): string {
    if (!this.#holder.running) {
      throw new BuildError(Code.Unavailable, "the namespace of emulators has ended", { infrastructure: true });
    }
    return `/proc/${this.#holder.pid}/ns/user`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder[Symbol.asyncDispose]();
  }
}

/** The process that keeps the namespaces, and the talk with it. */
class Holder implements AsyncDisposable {
  /** What it printed as errors. */
  complaint = "";
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;

  constructor(directory: string) {
    // In a session of its own: what interrupts the agent lets its steps end in their time.
    this.#process = spawn("unshare", ["--user", "--mount", "sh", "-c", script, "emulation", directory], {
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
    this.#ended = new Promise((resolve) => this.#process.once("close", resolve));
    this.#process.on("error", (error) => {
      this.complaint = error.message;
    });
    this.#process.stdin.on("error", () => {});
    this.#process.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.complaint = `${this.complaint}${text}`.trim().slice(0, 1000);
    });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  async expect(wanted: string): Promise<void> {
    const line = await this.#next();
    if (line !== wanted) throw new Error(`unshare said ${JSON.stringify(line)}, not ${wanted}`);
  }

  /** Writes a line. @returns the next line it says, which must be `wanted` if that is given */
  async ask(line: string, wanted?: string): Promise<string> {
    this.#process.stdin.write(`${line}\n`);
    const answer = await this.#next();
    if (wanted !== undefined && answer !== wanted) throw new Error(`expected ${wanted}: ${answer}`);
    return answer;
  }

  async #next(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) {
      await this.#ended;
      throw new Error("unshare has ended");
    }
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end();
    await this.#ended;
  }
}
