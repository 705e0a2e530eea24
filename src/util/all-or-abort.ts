/**
 * Does all at the same time. The first failure aborts the others, and is thrown when they have ended: nothing is left running.
 * @param signal aborts them all
 */
export async function allOrAbort<T, R>(
  items: Iterable<T>,
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const abort = new AbortController();
  const both = AbortSignal.any([signal, abort.signal]);
  let failure: { readonly error: unknown } | undefined;
  const outcomes = await Promise.all(
    [...items].map(async (item) => {
      try {
        return await work(item, both);
      } catch (error) {
        failure ??= { error };
        abort.abort(error);
        return undefined;
      }
    }),
  );
  if (failure !== undefined) throw failure.error;
  return outcomes as R[];
}
