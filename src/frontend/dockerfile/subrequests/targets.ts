import type { FrontendResult } from "../../../core/seams/llb-bridge.ts";
import { parseStages } from "../instructions/index.ts";
import { parseDockerfile } from "../parser/index.ts";
import { locationJson } from "./pb-json.ts";
import { subrequestResult, targetsRequest } from "./request.ts";
import { textTable } from "./text-table.ts";

/** `frontend.targets`: the stages of the file. @throws DockerfileError */
export function listTargets(dockerfile: Uint8Array): FrontendResult {
  const { stages } = parseStages(parseDockerfile(dockerfile));
  const targets = stages.map(({ name, docComment, baseName, platform, location }, at) => ({
    ...(name === "" ? {} : { name }),
    ...(at === stages.length - 1 ? { default: true } : {}),
    ...(docComment === "" ? {} : { description: docComment }),
    ...(baseName === "" ? {} : { base: baseName }),
    ...(platform === "" ? {} : { platform }),
    ...(location.length === 0 ? {} : { location: locationJson({ sourceIndex: 0, ranges: [...location] }) }),
  }));
  const rows = targets.map((target) => [
    target.default ? (target.name === undefined ? "(default)" : `${target.name} (default)`) : (target.name ?? ""),
    target.description ?? "",
  ]);
  const json = {
    targets: targets.length === 0 ? null : targets,
    sources: [Buffer.from(dockerfile).toString("base64")],
  };
  const text = textTable([["TARGET", "DESCRIPTION"], ...rows], 1);
  return subrequestResult(targetsRequest, json, { "result.txt": text });
}
