import { isDeepStrictEqual, parseArgs } from "node:util";
import { connectGrpc } from "../../src/grpc/index.ts";
import { randomFrom } from "../helpers/random.ts";
import { Sandbox } from "../helpers/sandbox/index.ts";
import { GatewayBuild } from "../integration/gateway/gateway-build.ts";
import { convert, type Question, questions } from "./conversion.ts";
import { type DockerfileCase, generateCase } from "./dockerfile-generator.ts";

const usage = `npm run differential -- [--seed N] [--cases N] [--ours ADDR]

Asks Buildfleet and the BuildKit at PEER_ADDR for what they make of Dockerfiles written at random, and shows each of which
they make different things, cut down to the lines that matter. A seed gives the same cases again.
`;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Date.now() % 1e9) },
    cases: { type: "string", default: "1000" },
    ours: { type: "string" },
    help: { type: "boolean", short: "h" },
  },
});
const peer = process.env["PEER_ADDR"];

if (values.help) process.stdout.write(usage);
else if (peer === undefined) throw new Error("PEER_ADDR is not set: nothing to compare with");
else process.exitCode = (await run(peer)) === 0 ? 0 : 1;

/** @returns number of cases with a difference */
async function run(peerAddress: string): Promise<number> {
  await using sandbox = values.ours === undefined ? await Sandbox.start({ standalone: true }) : undefined;
  await using oursGrpc = await connectGrpc(values.ours ?? sandbox?.heads[0]?.address ?? "");
  await using peerGrpc = await connectGrpc(peerAddress);
  await using ours = new GatewayBuild(oursGrpc);
  await using theirs = new GatewayBuild(peerGrpc);

  const differs = async (one: DockerfileCase, question: Question) => {
    const [a, b] = await Promise.all([convert(ours, one, question), convert(theirs, one, question)]);
    return isDeepStrictEqual(a, b) ? undefined : firstDifference(a, b);
  };
  let different = 0;
  const first = Number(values.seed);
  for (let seed = first; seed < first + Number(values.cases); seed++) {
    const one = generateCase(randomFrom(seed));
    const question = questions[seed % 8] ?? "convert";
    if ((await differs(one, question)) === undefined) continue;
    different++;
    const small = await shrink(one, async (smaller) => (await differs(smaller, question)) !== undefined);
    process.stdout.write(
      `seed ${seed}, ${question}, ${JSON.stringify(small.options)}\n${small.dockerfile}\n→ ${await differs(small, question)}\n\n`,
    );
  }
  process.stdout.write(`${values.cases} cases from seed ${first}: ${different} differ\n`);
  return different;
}

/** Takes out options and lines, then characters, as long as the case stays interesting. */
async function shrink(
  one: DockerfileCase,
  interesting: (one: DockerfileCase) => Promise<boolean>,
): Promise<DockerfileCase> {
  let best = one;
  const attempt = async (smaller: DockerfileCase) => {
    if (await interesting(smaller)) best = smaller;
  };
  for (const name of Object.keys(one.options)) {
    const { [name]: _, ...options } = best.options;
    await attempt({ ...best, options });
  }
  for (const separator of ["\n", " "]) {
    for (let index = best.dockerfile.split(separator).length - 1; index >= 0; index--) {
      await attempt({ ...best, dockerfile: best.dockerfile.split(separator).toSpliced(index, 1).join(separator) });
    }
  }
  return best;
}

/** Where two values differ first, and how. */
function firstDifference(ours: unknown, theirs: unknown, path = ""): string {
  if (ours !== null && theirs !== null && typeof ours === "object" && typeof theirs === "object") {
    const [a, b] = [ours as Record<string, unknown>, theirs as Record<string, unknown>];
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      if (!isDeepStrictEqual(a[key], b[key])) return firstDifference(a[key], b[key], `${path}.${key}`);
    }
  }
  return `${path}\n  ours   ${JSON.stringify(ours)}\n  theirs ${JSON.stringify(theirs)}`;
}
