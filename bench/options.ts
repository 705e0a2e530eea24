import { parseArgs } from "node:util";

/** What one run of the benchmarks shall do. */
export interface BenchOptions {
  /** Names of cases, or beginnings of names; empty = all. */
  readonly only: readonly string[];
  /** Rounds per case; undefined = as many as the case asks for. */
  readonly runs: number | undefined;
  /** Where all samples go. */
  readonly json: string | undefined;
  /** Address of the daemon to compare with. */
  readonly peer: string | undefined;
  /** Its process, where it runs on this machine: for the time it computes. */
  readonly peerPid: number | undefined;
  /** Address of a running Buildfleet to measure in place of one started here. */
  readonly ours: string | undefined;
  /** Share of the full amount of data, 0 … 1: a quick look, not a result. */
  readonly scale: number;
  readonly list: boolean;
  readonly help: boolean;
}

export const usage = `npm run bench -- [options]

  --only NAME    only cases whose name begins so; may be repeated
  --runs N       rounds per case (default: each case's own number)
  --json FILE    write every sample as JSON
  --scale F      with less data, e.g. 0.1: for a quick look, not for results
  --ours ADDR    measure a running Buildfleet in place of a standalone one started here
  --list         names of the cases

PEER_ADDR=tcp://host:port or unix:///path names the BuildKit to compare with. It is pruned between rounds.
PEER_PID, its process, lets cases compare the time both daemons compute.
`;

/** @throws Error for options that do not exist or make no sense */
export function parseOptions(args: readonly string[], env: NodeJS.ProcessEnv): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", multiple: true, default: [] },
      runs: { type: "string" },
      json: { type: "string" },
      ours: { type: "string" },
      scale: { type: "string", default: "1" },
      list: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const runs = values.runs === undefined ? undefined : Number(values.runs);
  if (runs !== undefined && !(Number.isInteger(runs) && runs > 0)) throw new Error("--runs wants a number from 1 up");
  const scale = Number(values.scale);
  if (!(scale > 0 && scale <= 1)) throw new Error("--scale wants a number above 0, at most 1");
  return {
    only: values.only,
    runs,
    json: values.json,
    peer: env["PEER_ADDR"] || undefined,
    peerPid: Number(env["PEER_PID"]) || undefined,
    ours: values.ours,
    scale,
    list: values.list,
    help: values.help,
  };
}
