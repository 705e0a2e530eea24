/**
 * Runs tasks side by side and waits for all of them. The first failure aborts the others' signal and is thrown once every
 * task has settled, so nothing outlives the call.
 */
export async function allOrAbort<T>(
  signal: AbortSignal,
  tasks: readonly ((signal: AbortSignal) => Promise<T>)[],
): Promise<T[]> {
  const [only] = tasks;
  if (only === undefined) return [];
  if (tasks.length === 1) return [await only(signal)];
  const scope = new AbortController();
  const onAbort = () => scope.abort(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  let failure: { readonly error: unknown } | undefined;
  const values: T[] = new Array(tasks.length);
  try {
    await Promise.all(
      tasks.map(async (task, index) => {
        try {
          values[index] = await task(scope.signal);
        } catch (error) {
          failure ??= { error };
          scope.abort(error);
        }
      }),
    );
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  if (failure !== undefined) throw failure.error;
  return values;
}
