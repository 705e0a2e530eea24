import type { ChaosResult } from "./chaos-run.ts";

/** Nothing went wrong that may not. */
export function isGood({ failed, wrong, leaks }: ChaosResult): boolean {
  return failed.length + wrong.length + leaks.length === 0;
}

/** The end of what the steps of a build have said. */
function lastLines(log: string): readonly string[] {
  return log.trimEnd().split("\n").slice(-5);
}

/** For people. */
export function summary(result: ChaosResult): string {
  const { disturbances, skipped, builds, allowed, failed, wrong, leaks } = result;
  const counts = Map.groupBy(disturbances, ({ fault }) => fault);
  const lines = [
    `faults injected: ${disturbances.length}`,
    ...[...counts].map(([fault, times]) => `  ${fault}: ${times.length}`),
    ...[...skipped].map(([fault, reason]) => `  skipped on this machine: ${fault} (${reason})`),
    `builds: ${builds.length}`,
    `  failed, as they may: ${allowed.length}`,
    ...allowed.map(({ build, excuse }) => `    ${build.name} (${build.kind}): ${excuse}`),
    `  failed, as they may not: ${failed.length}`,
    ...failed.flatMap(({ name, kind, head, error, hung, log }) => [
      `    ${name} (${kind}) at ${head}${hung ? ", hung" : ""}: ${error}`,
      ...lastLines(log).map((line) => `      ${line}`),
    ]),
    `  wrong results: ${wrong.length}`,
    ...wrong.map(({ name, kind, digest }) => `    ${name} (${kind}): ${digest}`),
    `leaks: ${leaks.length}`,
    ...leaks.map((leak) => `  ${leak}`),
  ];
  return `${lines.join("\n")}\n`;
}
