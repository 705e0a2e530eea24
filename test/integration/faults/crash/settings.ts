/** What decides when processes are killed: `CRASH_SEED` of an earlier run repeats it, as far as the machine's speed allows. */
export const crashSeed = Number(process.env["CRASH_SEED"] ?? Math.floor(Math.random() * 2 ** 32));

/** Kills per test; `CRASH_ROUNDS` asks for more. */
export const crashRounds = Number(process.env["CRASH_ROUNDS"] ?? 4);

export const crashTimeoutMs = 60_000 * (crashRounds + 2);
