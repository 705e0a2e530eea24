export { type OpFacts, opFacts } from "./op-facts.ts";
