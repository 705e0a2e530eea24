export { expand, expandRaw } from "./expand.ts";
export { type ParsedStages, parseCommand, parseInstruction, parseStages } from "./parse-stages.ts";
export type * from "./types.ts";
