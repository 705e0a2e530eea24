export type { BuildStage } from "./build-stage.ts";
export { type Conversion, type ConvertOptions, convertDockerfile } from "./converter.ts";
export type { ArgInfo, RequestInfo } from "./outline-capture.ts";
