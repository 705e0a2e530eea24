export { Estargz, type EstargzFacts } from "./estargz.ts";
export { withoutToc } from "./without-toc.ts";
