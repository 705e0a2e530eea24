import type { Range } from "../../../api/gen/ops.ts";

/** What every instruction knows of its place in the Dockerfile. */
export interface InstructionBase {
  /** Instruction name as written, e.g. `run` or `RUN`. */
  readonly name: string;
  /** Source of the instruction, trimmed, continuation lines joined, without heredoc bodies. */
  readonly code: string;
  /** One range per line, 1-based, characters 0; empty for instructions which are not from a file. */
  readonly location: readonly Range[];
  /** Comment lines directly above, without `#` and the blank after it. */
  readonly comments: readonly string[];
}

export interface KeyValue {
  readonly key: string;
  readonly value: string;
  /** `ENV key value` and `LABEL key value`: the old form without `=`. */
  readonly noDelimiter: boolean;
}

/** One argument of ARG; `value` is absent for `ARG name`. */
export interface ArgPair {
  readonly key: string;
  readonly value?: string;
  /** Text of the comment `# name text` above. */
  readonly docComment: string;
}

export interface EnvCommand extends InstructionBase {
  readonly kind: "env";
  readonly env: readonly KeyValue[];
}

export interface MaintainerCommand extends InstructionBase {
  readonly kind: "maintainer";
  readonly maintainer: string;
}

export interface LabelCommand extends InstructionBase {
  readonly kind: "label";
  readonly labels: readonly KeyValue[];
  /** True for labels which come from the build options: they are taken as they are. */
  readonly noExpand: boolean;
}

/** A heredoc given as a source of COPY or ADD. */
export interface SourceContent {
  readonly path: string;
  readonly data: string;
  /** False when the delimiter was quoted. */
  readonly expand: boolean;
}

/** Sources and destination of COPY and ADD. */
export interface SourcesAndDest {
  readonly destPath: string;
  readonly sourcePaths: readonly string[];
  readonly sourceContents: readonly SourceContent[];
}

export interface AddCommand extends InstructionBase, SourcesAndDest {
  readonly kind: "add";
  readonly chown: string;
  readonly chmod: string;
  readonly link: boolean;
  readonly excludePatterns: readonly string[];
  /** Absent when the flag is not given. */
  readonly keepGitDir?: boolean;
  readonly checksum: string;
  /** Absent when the flag is not given. */
  readonly unpack?: boolean;
}

export interface CopyCommand extends InstructionBase, SourcesAndDest {
  readonly kind: "copy";
  readonly from: string;
  readonly chown: string;
  readonly chmod: string;
  readonly link: boolean;
  readonly excludePatterns: readonly string[];
  readonly parents: boolean;
}

export interface OnbuildCommand extends InstructionBase {
  readonly kind: "onbuild";
  /** Source of the trigger, heredoc bodies included. */
  readonly expression: string;
}

export interface WorkdirCommand extends InstructionBase {
  readonly kind: "workdir";
  readonly path: string;
}

/** A heredoc of RUN. */
export interface InlineFile {
  readonly name: string;
  readonly data: string;
  /** `<<-`: leading tabs of each line are to be dropped. */
  readonly chomp: boolean;
}

/** RUN, CMD and ENTRYPOINT: a command line for the shell, or (JSON form) for exec. */
export interface ShellDependentCommandLine {
  readonly commandLine: readonly string[];
  readonly files: readonly InlineFile[];
  /** True for the shell form. */
  readonly prependShell: boolean;
}

export type MountType = "bind" | "cache" | "tmpfs" | "secret" | "ssh";
export type CacheSharing = "shared" | "private" | "locked";

/** One `RUN --mount`. */
export interface Mount {
  readonly type: MountType;
  readonly from: string;
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
  /** tmpfs only; 0 without limit. */
  readonly sizeLimitBytes: number;
  readonly cacheId: string;
  readonly cacheSharing?: CacheSharing;
  readonly required: boolean;
  /** secret only: name of the environment variable; an empty string asks for the default name. */
  readonly env?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

/** One `RUN --device`. */
export interface Device {
  readonly name: string;
  readonly required: boolean;
}

export type NetworkMode = "default" | "none" | "host";
export type SecurityMode = "sandbox" | "insecure";

export interface RunCommand extends InstructionBase, ShellDependentCommandLine {
  readonly kind: "run";
  /** Names of the given flags, e.g. `mount`, each once, in order of first use. */
  readonly flagsUsed: readonly string[];
  /** Values of `--mount` as written. */
  readonly mountFlags: readonly string[];
  /** Before `expand` only `from` is filled in; afterwards complete. */
  readonly mounts: readonly Mount[];
  readonly devices: readonly Device[];
  readonly network: NetworkMode;
  readonly security: SecurityMode;
}

export interface CmdCommand extends InstructionBase, ShellDependentCommandLine {
  readonly kind: "cmd";
}

export interface EntrypointCommand extends InstructionBase, ShellDependentCommandLine {
  readonly kind: "entrypoint";
}

/** The image config's `Healthcheck`; durations in nanoseconds, 0 = inherit. */
export interface Healthcheck {
  /** `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`. */
  readonly test: readonly string[];
  readonly intervalNanos: number;
  readonly timeoutNanos: number;
  readonly startPeriodNanos: number;
  readonly startIntervalNanos: number;
  readonly retries: number;
}

export interface HealthcheckCommand extends InstructionBase {
  readonly kind: "healthcheck";
  readonly health: Healthcheck;
}

export interface ExposeCommand extends InstructionBase {
  readonly kind: "expose";
  /** Sorted, as written (words are expanded and split during conversion). */
  readonly ports: readonly string[];
}

export interface UserCommand extends InstructionBase {
  readonly kind: "user";
  readonly user: string;
}

export interface VolumeCommand extends InstructionBase {
  readonly kind: "volume";
  readonly volumes: readonly string[];
}

export interface StopsignalCommand extends InstructionBase {
  readonly kind: "stopsignal";
  readonly signal: string;
}

export interface ArgCommand extends InstructionBase {
  readonly kind: "arg";
  readonly args: readonly ArgPair[];
}

export interface ShellCommand extends InstructionBase {
  readonly kind: "shell";
  readonly shell: readonly string[];
}

/** An instruction inside a stage. */
export type Command =
  | AddCommand
  | ArgCommand
  | CmdCommand
  | CopyCommand
  | EntrypointCommand
  | EnvCommand
  | ExposeCommand
  | HealthcheckCommand
  | LabelCommand
  | MaintainerCommand
  | OnbuildCommand
  | RunCommand
  | ShellCommand
  | StopsignalCommand
  | UserCommand
  | VolumeCommand
  | WorkdirCommand;

/** FROM and everything up to the next FROM. */
export interface Stage {
  readonly kind: "from";
  /** Lower-case name after AS; empty without. */
  readonly name: string;
  readonly commands: Command[];
  /** FROM as written (`FROM`, `from`). */
  readonly instruction: string;
  /** Image or stage, unexpanded. */
  readonly baseName: string;
  /** Value of `--platform`, unexpanded; empty without. */
  readonly platform: string;
  /** Text of the comment `# name text` above FROM. */
  readonly docComment: string;
  /** Source of the FROM line. */
  readonly code: string;
  readonly location: readonly Range[];
  readonly comments: readonly string[];
}

/** Replaces variables and quotes in one word. @throws when the word does not lex. */
export type WordExpander = (word: string) => string;
