import { constants } from "node:os";
import { Narrator } from "./narrator.ts";
import { runDemo } from "./run-demo.ts";

/*
 * `npm run demo`: a fleet of three agents on this machine, a build by docker buildx and by buildfleet, and what there is to
 * see of it. DEMO_NO_INSTALL=1: do without Debian packages that are missing. --keep: leave the fleet up until Ctrl-C.
 */

const abort = new AbortController();
let stoppedBy: NodeJS.Signals | undefined;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    stoppedBy ??= signal;
    abort.abort(new Error(`stopped by ${signal}`));
  });
}

// A reader that has seen enough (`| head`) ends the demo, but not its tidying up.
process.stdout.on("error", (error) => abort.abort(error));

const narrator = new Narrator(process.stdout);
const install = !process.env["DEMO_NO_INSTALL"];
const keep = process.argv.includes("--keep");
const ok = await runDemo({ narrator, install, keep, signal: abort.signal });
process.exitCode = ok ? 0 : stoppedBy === undefined ? 1 : 128 + constants.signals[stoppedBy];
