export { expand, expandRaw } from "./expand.ts";
export { parseCommand, parseInstruction } from "./parse-instruction.ts";
export { type ParsedStages, parseStages, stageSteps } from "./parse-stages.ts";
export type * from "./types.ts";
