import { pick, randomFrom } from "../helpers/random.ts";
import { BuildClient, Sandbox, type SandboxHead, waitFor } from "../helpers/sandbox/index.ts";
import { type BuildReport, excuse } from "./build-report.ts";
import { ChaosBuild, type Kind, kinds } from "./chaos-build.ts";
import { clockFaults } from "./clock-faults.ts";
import { fullDisk } from "./disk-faults.ts";
import type { Disturbance, Fault, Random, Victim } from "./fault.ts";
import { leaks } from "./leaks.ts";
import { networkFaults } from "./network-faults.ts";
import { processFaults } from "./process-faults.ts";

export interface ChaosOptions {
  readonly seed: number;
  readonly durationMs: number;
  /** Builds at the same time; default 3. */
  readonly builders?: number;
  readonly say: (line: string) => void;
}

export interface ChaosResult {
  readonly disturbances: readonly Disturbance[];
  /** Faults that this machine cannot make, and why. */
  readonly skipped: ReadonlyMap<string, string>;
  readonly builds: readonly BuildReport[];
  readonly allowed: readonly { readonly build: BuildReport; readonly excuse: string }[];
  readonly failed: readonly BuildReport[];
  readonly wrong: readonly BuildReport[];
  readonly leaks: readonly string[];
}

const buildLimitMs = 240_000;
const diskBytes = 96 << 20;
/** What an agent keeps, so that only the fault fills its disk. */
const gcPolicy = `[[worker.oci.gcpolicy]]\nall = true\nmaxUsedSpace = ${48 << 20}\n`;

/** A fleet that is disturbed at random while builds run. The seed decides what happens, as far as the machine's speed allows. */
export class ChaosRun {
  readonly #options: ChaosOptions;
  readonly #sandbox: Sandbox;
  readonly #faults: readonly Fault[];
  readonly #skipped: ReadonlyMap<string, string>;
  readonly #expected = new Map<Kind, string>();
  readonly #disturbances: Disturbance[] = [];
  readonly #builds: BuildReport[] = [];
  #over = false;

  private constructor(
    options: ChaosOptions,
    sandbox: Sandbox,
    faults: readonly Fault[],
    skipped: ReadonlyMap<string, string>,
  ) {
    this.#options = options;
    this.#sandbox = sandbox;
    this.#faults = faults;
    this.#skipped = skipped;
  }

  static async run(options: ChaosOptions): Promise<ChaosResult> {
    const sandbox = await Sandbox.start({
      agents: 3,
      coordinators: 2,
      agent: { slots: 3 },
      gcPolicy,
      namespaces: true,
      clocks: true,
    });
    let left: readonly string[] = [];
    const run = await ChaosRun.#in(sandbox, options).catch(async (error) => {
      await sandbox[Symbol.asyncDispose]().catch(() => {});
      throw error;
    });
    try {
      await run.#disturb();
      left = await leaks(sandbox);
    } finally {
      await sandbox[Symbol.asyncDispose]().catch((error) => {
        left = [...left, String(error)];
      });
    }
    return run.#result(left);
  }

  static async #in(sandbox: Sandbox, options: ChaosOptions): Promise<ChaosRun> {
    const small = await sandbox.startAgent({ slots: 2, root: await sandbox.mountDisk(diskBytes) });
    const faults: Fault[] = [];
    const skipped = new Map<string, string>();
    for (const fault of [...processFaults, ...networkFaults, ...clockFaults, fullDisk(small)]) {
      const reason = await fault.missing?.(sandbox);
      if (reason === undefined) faults.push(fault);
      else skipped.set(fault.name, reason);
    }
    const run = new ChaosRun(options, sandbox, faults, skipped);
    for (const kind of kinds) {
      const { digest, error } = await run.#build(new ChaosBuild(sandbox, kind, `undisturbed-${kind}`), 0);
      if (digest === undefined) throw new Error(`undisturbed build of ${kind}: ${error}`);
      run.#expected.set(kind, digest);
    }
    run.#builds.length = 0;
    return run;
  }

  async #disturb(): Promise<void> {
    const { seed, durationMs, builders = 3 } = this.#options;
    const until = performance.now() + durationMs;
    const over = () => this.#over || performance.now() >= until;
    const building = Promise.all(
      Array.from({ length: builders }, (_, i) => this.#buildOn(randomFrom(seed + 1 + i), i, over)),
    );
    building.catch(() => {});
    const random = randomFrom(seed);
    try {
      while (!over()) {
        // Mostly one at a time; two now and then.
        const count = random() < 0.25 ? 2 : 1;
        const plans = Array.from({ length: count }, () => this.#plan(random));
        const hit = new Set<Victim>();
        await pause(200 + random() * 1500);
        await Promise.all(plans.map((plan) => this.#inject(plan, hit)));
      }
    } finally {
      this.#over = true;
      await building;
    }
  }

  /** All that is random about a fault is drawn at once: what happens meanwhile does not change what comes next. */
  #plan(random: Random): Plan {
    const fault = pick(random, this.#faults as [Fault, ...Fault[]]);
    const [least, most] = fault.lastsMs;
    return { fault, choice: random(), lastsMs: least + random() * (most - least) };
  }

  async #inject({ fault, choice, lastsMs }: Plan, hit: Set<Victim>): Promise<void> {
    const victims = fault.victims(this.#sandbox).filter((victim) => !hit.has(victim));
    const victim = victims[Math.floor(choice * victims.length)];
    if (victim === undefined) return;
    hit.add(victim);
    const disturbance: Disturbance = { fault: fault.name, victim: victim.name, from: performance.now() };
    this.#disturbances.push(disturbance);
    this.#options.say(`${fault.name}: ${victim.name}, ${Math.round(lastsMs)} ms`);
    const undo = await fault.inject(this.#sandbox, victim);
    await pause(lastsMs);
    await undo();
    disturbance.to = performance.now();
  }

  async #buildOn(random: Random, builder: number, over: () => boolean): Promise<void> {
    for (let round = 0; !over(); round++) {
      const kind = pick(random, kinds);
      const head = Math.floor(random() * this.#sandbox.heads.length);
      // Now and then two builders want the same.
      const name = random() < 0.3 ? `both-${round}` : `builder-${builder}-${round}`;
      const report = await this.#build(new ChaosBuild(this.#sandbox, kind, name), head);
      this.#options.say(`build ${name} (${kind}) at ${report.head}: ${this.#verdict(report)}`);
    }
  }

  async #build(build: ChaosBuild, index: number): Promise<BuildReport> {
    const head = this.#sandbox.heads[index] as SandboxHead;
    const limit = AbortSignal.timeout(buildLimitMs);
    const client = await waitFor("a coordinator to answer", () => this.#connect(head));
    const from = performance.now();
    let outcome: Pick<BuildReport, "digest" | "error">;
    try {
      outcome = { digest: await build.run(client, limit) };
    } catch (error) {
      outcome = { error: String(error) };
    }
    const { kind, name, log, sending } = build;
    const hung = limit.aborted && outcome.digest === undefined;
    const report = { kind, name, head: head.name, from, to: performance.now(), ...outcome, log, sending, hung };
    this.#builds.push(report);
    await client[Symbol.asyncDispose]().catch(() => {});
    return report;
  }

  async #connect(head: SandboxHead): Promise<BuildClient | undefined> {
    if (!head.process.running) return undefined;
    try {
      await head.process.ready;
      return await BuildClient.connect(head.address, `${this.#sandbox.root}/client`);
    } catch {
      return undefined;
    }
  }

  #verdict(report: BuildReport): string {
    if (report.hung) return `HANGS for ${buildLimitMs / 1000} s`;
    if (report.digest !== undefined) return report.digest === this.#expected.get(report.kind) ? "good" : "WRONG RESULT";
    const why = excuse(report, this.#disturbances);
    return why === undefined ? `FAILED: ${report.error}` : `failed, ${why}`;
  }

  #result(left: readonly string[]): ChaosResult {
    const failed: BuildReport[] = [];
    const allowed: { build: BuildReport; excuse: string }[] = [];
    for (const build of this.#builds.filter(({ digest }) => digest === undefined)) {
      const why = excuse(build, this.#disturbances);
      if (why === undefined) failed.push(build);
      else allowed.push({ build, excuse: why });
    }
    const wrong = this.#builds.filter(
      ({ kind, digest }) => digest !== undefined && digest !== this.#expected.get(kind),
    );
    const { builds, disturbances, skipped } = {
      builds: this.#builds,
      disturbances: this.#disturbances,
      skipped: this.#skipped,
    };
    return { builds, disturbances, skipped, allowed, failed, wrong, leaks: left };
  }
}

interface Plan {
  readonly fault: Fault;
  /** In [0, 1): which of the victims. */
  readonly choice: number;
  readonly lastsMs: number;
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
