import type { BuildHistoryRecord } from "../../api/gen/control.ts";
import { BuildError } from "../errors/build-error.ts";
import { Code } from "../errors/code.ts";

/**
 * A build by what a user may call it: its ref or the beginning of it, also as docker buildx writes it with builder and node in
 * front, or `^0` for the last one, `^1` for the one before.
 * @param builds newest first
 * @throws BuildError NotFound, InvalidArgument when several begin like that
 */
export function findBuild(builds: readonly BuildHistoryRecord[], name: string): BuildHistoryRecord {
  const back = /^\^(\d+)$/.exec(name);
  if (back !== null) {
    const found = builds[Number(back[1])];
    if (found !== undefined) return found;
    throw new BuildError(Code.NotFound, `there is no build ${name}: ${builds.length} are recorded`);
  }
  const ref = name.split("/").at(-1) ?? "";
  const exact = builds.find(({ Ref }) => Ref === name || Ref === ref);
  if (exact !== undefined) return exact;
  const [first, ...others] = ref === "" ? [] : builds.filter(({ Ref }) => Ref.startsWith(ref));
  if (first === undefined) throw new BuildError(Code.NotFound, `no build ${JSON.stringify(name)} is recorded`);
  if (others.length > 0) {
    const refs = [first, ...others].slice(0, 5).map(({ Ref }) => Ref);
    throw new BuildError(
      Code.InvalidArgument,
      `${1 + others.length} builds begin with ${JSON.stringify(ref)}: ${refs.join(", ")}${others.length >= 5 ? ", …" : ""}`,
    );
  }
  return first;
}
