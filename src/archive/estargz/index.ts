export { Estargz, type EstargzFacts } from "./estargz.ts";
