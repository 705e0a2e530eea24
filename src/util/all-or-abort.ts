/**
 * Does all at the same time. The first failure aborts the others, and is thrown when they have ended: nothing is left running.
 * @param signal aborts them all
 */
export async function allOrAbort<T, R>(
  items: readonly T[],
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const [only] = items;
  if (items.length === 1) return [await work(only as T, signal)];
  const scope = new AbortController();
  const onAbort = () => scope.abort(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  let failure: { readonly error: unknown } | undefined;
  const settle = async (item: T): Promise<R | undefined> => {
    try {
      return await work(item, scope.signal);
    } catch (error) {
      failure ??= { error };
      scope.abort(error);
      return undefined;
    }
  };
  try {
    const values = await Promise.all(items.map(settle));
    if (failure !== undefined) throw failure.error;
    return values as R[];
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
