export { convertLlbResult } from "./convert-llb.ts";
export { describeSubrequests } from "./describe.ts";
export { lintResult } from "./lint.ts";
export { outlineOf } from "./outline.ts";
export { convertLlbRequest, describeRequest, lintRequest, outlineRequest, targetsRequest } from "./request.ts";
export { listTargets } from "./targets.ts";
