/** Long enough for a machine with much else to do; only what never comes takes it. */
const patienceMs = 60_000;

/**
 * Asks again until there is an answer.
 * @param what named in the error, e.g. `the agent to join`
 * @throws Error after a minute without one
 */
export async function waitFor<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > deadline) throw new Error(`waited ${patienceMs / 1000} s in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
