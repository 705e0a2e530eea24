import { randomUUID } from "node:crypto";
import { isIP } from "node:net";
import { type ExecOp, NetMode, Op, SecurityMode } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { ExecFailedError } from "../../core/errors/exec-failed-error.ts";
import type { ContainerProcess, ExecUsage, Executor, LinuxResources } from "../../core/seams/executor.ts";
import type { OpRunner, RunContext } from "../../core/seams/op-runner.ts";
import type { ContainerEdits } from "../../core/values/container-edits.ts";
import type { FailedState } from "../../core/values/failed-state.ts";
import type { Task, TaskResult } from "../../core/values/task.ts";
import type { CdiRegistry } from "../../executor/index.ts";
import { goQuote } from "../../util/go-quote.ts";
import type { ProcessSpawner } from "../../util/process/index.ts";
import type { Emulators } from "../emulation/index.ts";
import { copyTree } from "./exec/copy-tree.ts";
import { stepEnvironment } from "./exec/environment.ts";
import type { MountArea } from "./exec/mount-area.ts";
import { loadSecretEnvironment } from "./exec/secret-environment.ts";
import { maskSecrets } from "./exec/secret-mask.ts";
import { type CacheMountAccess, cacheMountSources } from "./exec/step-cache-mounts.ts";
import { StepLog, type StepLogLimits } from "./exec/step-log.ts";
import { StepMounts } from "./exec/step-mounts.ts";
import { withFailedState } from "./failed-state.ts";

export interface ExecOpRunnerOptions extends CacheMountAccess {
  readonly executor: Executor;
  readonly spawner: ProcessSpawner;
  readonly area: MountArea;
  readonly emulators: Emulators;
  readonly devices: CdiRegistry;
  readonly logLimits: StepLogLimits;
}

/** Runs an ExecOp in a container (BuildKit solver/llbsolver/ops/exec.go). */
export class ExecOpRunner implements OpRunner<"exec"> {
  readonly kind = "exec";
  readonly #options: ExecOpRunnerOptions;

  constructor(options: ExecOpRunnerOptions) {
    this.#options = options;
  }

  async run(task: Task<"exec">, context: RunContext): Promise<TaskResult<"exec">> {
    const { body } = task;
    const exec = decode(body.op);
    const meta = required(exec.meta, "exec op has no meta");
    checkEntitlements(exec, body.entitlements);
    const command = meta.args.join(" ");
    const isolated = isolation(exec, command);
    const {
      prefix,
      mounts: emulator,
      ...namespace
    } = this.#options.emulators.forContainer(body.platform, isolated.security);

    await using mounts = await StepMounts.prepare(
      {
        mounts: exec.mounts,
        inputs: body.inputs,
        cwd: meta.cwd,
        command,
        layers: context.layers,
        sessions: context.sessions,
        area: this.#options.area,
        cacheMounts: cacheMountSources(this.#options, task, context),
        copyTree: copyTree(this.#options.spawner),
      },
      context.signal,
    );
    const secretEnvironment = await loadSecretEnvironment(exec.secretenv, context);
    const container: ContainerProcess = {
      id: randomUUID().replaceAll("-", ""),
      rootfs: mounts.root.path,
      rootReadonly: mounts.root.readonly,
      mounts: [...mounts.mounts, ...emulator],
      args: [...prefix, ...meta.args],
      env: stepEnvironment(meta.env, meta.proxyEnv, secretEnvironment.entries),
      cwd: meta.cwd,
      user: meta.user,
      hostname: meta.hostname,
      extraHosts: meta.extraHosts.map(({ Host, IP }) => ({ host: Host, ip: checkedIp(IP) })),
      ...isolated,
      ...namespace,
      ulimits: meta.ulimit.map(({ Name, Soft, Hard }) => ({ name: Name, soft: Soft, hard: Hard })),
      cgroupParent: meta.cgroupParent,
      ...(body.resources === undefined ? {} : { resources: body.resources }),
      removeMountStubsRecursive: meta.removeMountStubsRecursive,
      validExitCodes: meta.validExitCodes,
      platform: body.platform,
      ...(body.devices === undefined ? {} : { edits: await this.#edits(body.devices, command) }),
    };
    const secrets = [...mounts.secrets, ...secretEnvironment.values];
    let usage: ExecUsage;
    try {
      usage = await this.#runProcess(container, command, context, secrets);
    } catch (error) {
      throw await withFailedState(error, task, context, async () => {
        await mounts.release();
        return { ...(await mounts.commitFailed()), ...outOfMemory(error, body.resources) };
      });
    }
    await mounts.release({ succeeded: true });
    return { ...(await mounts.commit()), usage, cacheMounts: mounts.published };
  }

  async #edits(devices: readonly string[], command: string): Promise<ContainerEdits> {
    try {
      return await this.#options.devices.edits(devices);
    } catch (error) {
      throw processError(command, error);
    }
  }

  async #runProcess(
    container: ContainerProcess,
    command: string,
    context: RunContext,
    secrets: readonly Uint8Array[],
  ): Promise<ExecUsage> {
    const options = { limits: this.#options.logLimits, secrets };
    const stdout = new StepLog(context.progress, 1, options);
    const stderr = new StepLog(context.progress, 2, options);
    let failed = true;
    try {
      const usage = await this.#options.executor.run(
        container,
        { stdout: (data) => stdout.write(data), stderr: (data) => stderr.write(data) },
        context.signal,
      );
      failed = false;
      return usage;
    } catch (error) {
      throw processError(command, masked(error, secrets));
    } finally {
      stdout.end(failed);
      stderr.end(failed);
    }
  }
}

function decode(bytes: Uint8Array): ExecOp {
  const op = Op.decode(bytes);
  if (op.op?.$case !== "exec") throw new BuildError(Code.InvalidArgument, "op is no exec op");
  return op.op.value;
}

function required<T>(value: T | undefined, message: string): T {
  if (value === undefined) throw new BuildError(Code.InvalidArgument, message);
  return value;
}

/** The coordinator has checked as well; an agent does not take its word for what opens the host. */
function checkEntitlements(exec: ExecOp, granted: readonly string[]): void {
  const needed = [
    ...(exec.network === NetMode.HOST ? ["network.host"] : []),
    ...(exec.security === SecurityMode.INSECURE ? ["security.insecure"] : []),
  ];
  for (const entitlement of needed) {
    if (!granted.includes(entitlement)) throw new BuildError(Code.Unknown, `${entitlement} is not allowed`);
  }
}

/** BuildKit's executor is the first to look at both modes, so there it is the process that fails (executor/oci). */
function isolation({ network, security }: ExecOp, command: string): Pick<ContainerProcess, "network" | "security"> {
  const networkName = networkNames.get(network);
  const securityName = securityNames.get(security);
  if (networkName === undefined)
    throw processError(command, new BuildError(Code.Unknown, `unknown network mode ${network}`));
  if (securityName === undefined)
    throw processError(command, new BuildError(Code.Unknown, `invalid security mode ${security}`));
  return { network: networkName, security: securityName };
}

const networkNames = new Map<NetMode, ContainerProcess["network"]>([
  [NetMode.UNSET, "sandbox"],
  [NetMode.HOST, "host"],
  [NetMode.NONE, "none"],
]);

const securityNames = new Map<SecurityMode, ContainerProcess["security"]>([
  [SecurityMode.SANDBOX, "sandbox"],
  [SecurityMode.INSECURE, "insecure"],
]);

function processError(command: string, cause: unknown): BuildError {
  return BuildError.from(cause).wrap(`process ${goQuote(command)} did not complete successfully`);
}

/** What a runtime says of a process that does not start may quote its environment. */
function masked(error: unknown, secrets: readonly Uint8Array[]): BuildError {
  const failure = BuildError.from(error);
  const message = maskSecrets(failure.message, secrets);
  if (message === failure.message) return failure;
  const { code, details, infrastructure } = failure;
  return new BuildError(code, message, { details, infrastructure });
}

/** A limit of its own is the step's affair; without one, another machine may have what it wants. */
function outOfMemory(error: unknown, limits: LinuxResources | undefined): Pick<FailedState, "outOfMemory"> {
  const used = error instanceof ExecFailedError ? error.outOfMemoryBytes : undefined;
  if (used === undefined || (limits?.memory ?? 0) > 0) return {};
  return { outOfMemory: { peakMemoryBytes: used } };
}

function checkedIp(ip: string): string {
  if (isIP(ip) === 0) throw new BuildError(Code.Unknown, `failed to parse IP ${ip}`);
  return ip;
}
