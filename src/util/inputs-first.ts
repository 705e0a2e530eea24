/** Every node of a graph once, after its inputs, depth first. Not recursive: chains may be long. */
export function* inputsFirst<T>(root: T, inputsOf: (node: T) => readonly T[]): Generator<T> {
  const seen = new Set<T>();
  const open: { readonly node: T; readonly ready: boolean }[] = [{ node: root, ready: false }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { node, ready } = next;
    if (ready) {
      yield node;
      continue;
    }
    if (seen.has(node)) continue;
    seen.add(node);
    open.push({ node, ready: true });
    for (const input of inputsOf(node).toReversed()) open.push({ node: input, ready: false });
  }
}
