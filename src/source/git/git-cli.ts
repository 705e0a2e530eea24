import type { ProgressWriter } from "../../core/seams/progress.ts";
import { sourceError } from "../source-identifier.ts";
import { isCommitSha } from "./git-url.ts";

/** Starts processes; `ProcessSpawner` is one. */
export interface CommandRunner {
  run(
    argv: readonly string[],
    options: {
      readonly env: Readonly<Record<string, string>>;
      readonly cwd: string;
      readonly stdout: (data: Uint8Array) => void;
      readonly stderr: (data: Uint8Array) => void;
      readonly signal: AbortSignal;
    },
  ): Promise<{ readonly code: number | null; readonly signal: string | null }>;
}

export interface GitCliOptions {
  readonly runner: CommandRunner;
  readonly signal: AbortSignal;
  readonly progress?: ProgressWriter;
  /** Git configuration which must not be seen in the process list (credentials). */
  readonly config: readonly { readonly key: string; readonly value: string }[];
  readonly sshAuthSocket?: string;
  readonly knownHostsFile?: string;
  readonly gitDir?: string;
  readonly workTree?: string;
}

const proxyVariables = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"].flatMap((name) => [
  name,
  name.toLowerCase(),
]);
const maxOutputBytes = 16 * 1024 * 1024;
/** Files of a checkout must not depend on the umask of this process. */
const withUmask = ["/bin/sh", "-c", 'umask 0022; exec "$@"', "sh"];

/** Runs git cut off from the machine's own configuration (BuildKit util/gitutil/git_cli.go). */
export class GitCli {
  readonly #options: GitCliOptions;

  constructor(options: GitCliOptions) {
    this.#options = options;
  }

  with(changes: Partial<Pick<GitCliOptions, "gitDir" | "workTree">>): GitCli {
    return new GitCli({ ...this.#options, ...changes });
  }

  /**
   * @returns standard output
   * @throws GitError `git stderr:\n…: exit status 128`
   */
  async run(...args: readonly string[]): Promise<Buffer> {
    let current = [...args];
    for (;;) {
      const { status, stdout, stderr } = await this.#once(current);
      if (status === "") return stdout;
      this.#options.signal.throwIfAborted();
      const lesser = withoutWhatServerRefused(current, stderr);
      if (lesser === undefined) throw sourceError(`git stderr:\n${stderr}: ${status}`);
      current = lesser;
    }
  }

  async text(...args: readonly string[]): Promise<string> {
    return (await this.run(...args)).toString("utf8").trim();
  }

  async succeeds(...args: readonly string[]): Promise<boolean> {
    try {
      await this.run(...args);
      return true;
    } catch {
      this.#options.signal.throwIfAborted();
      return false;
    }
  }

  async #once(args: readonly string[]): Promise<{ status: string; stdout: Buffer; stderr: string }> {
    const { gitDir, workTree, progress } = this.#options;
    const argv = [
      ...withUmask,
      "git",
      // A repository must not reach the machine's own files as submodules.
      "-c",
      "protocol.file.allow=user",
      ...(workTree === undefined ? [] : ["--work-tree", workTree]),
      ...(gitDir === undefined ? [] : ["--git-dir", gitDir]),
      ...args,
    ];
    const out = new Output();
    const err = new Output();
    const exit = await this.#options.runner.run(argv, {
      env: this.#environment(),
      cwd: workTree ?? "/",
      signal: this.#options.signal,
      stdout: (data) => {
        out.add(data);
        progress?.log(1, data);
      },
      stderr: (data) => {
        err.add(data);
        progress?.log(2, data);
      },
    });
    const status = exit.code === 0 ? "" : exit.code === null ? `signal: ${exit.signal}` : `exit status ${exit.code}`;
    return { status, stdout: out.bytes(), stderr: err.bytes().toString("utf8") };
  }

  #environment(): Record<string, string> {
    const { sshAuthSocket, knownHostsFile, config } = this.#options;
    const hosts =
      knownHostsFile === undefined ? "-o StrictHostKeyChecking=no" : `-o UserKnownHostsFile=${knownHostsFile}`;
    const environment: Record<string, string> = {
      PATH: process.env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      GIT_TERMINAL_PROMPT: "0",
      GIT_SSH_COMMAND: `ssh -F /dev/null ${hosts}`,
      LC_ALL: "C",
      GIT_CONFIG_NOSYSTEM: "1",
      HOME: "/dev/null",
      GIT_CONFIG_GLOBAL: "/dev/null",
    };
    for (const name of proxyVariables) {
      const value = process.env[name];
      if (value !== undefined) environment[name] = value;
    }
    if (sshAuthSocket !== undefined) environment["SSH_AUTH_SOCK"] = sshAuthSocket;
    // This is what `git -c` makes of its arguments, and unlike GIT_CONFIG_COUNT it reaches submodules.
    if (config.length > 0) {
      environment["GIT_CONFIG_PARAMETERS"] = config
        .map(({ key, value }) => `${shellQuote(key)}=${shellQuote(value)}`)
        .join(" ");
    }
    return environment;
  }
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Keeps the first bytes of an output. */
class Output {
  readonly #chunks: Uint8Array[] = [];
  #size = 0;

  add(data: Uint8Array): void {
    const room = maxOutputBytes - this.#size;
    if (room <= 0) return;
    const kept = data.subarray(0, room);
    this.#chunks.push(Buffer.from(kept));
    this.#size += kept.length;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

/** The same command with less asked of a server that cannot do shallow or by-commit fetches; undefined = nothing to leave out. */
function withoutWhatServerRefused(args: readonly string[], stderr: string): string[] | undefined {
  if (/--depth|shallow/.test(stderr) && args.includes("--depth=1")) return args.filter((arg) => arg !== "--depth=1");
  const last = args.at(-1) ?? "";
  if (/not our ref|unadvertised object/.test(stderr) && args[0] === "fetch" && args.length > 2 && isCommitSha(last)) {
    return args.slice(0, -1);
  }
  return undefined;
}
