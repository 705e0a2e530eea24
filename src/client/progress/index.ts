export { formatBytes, formatBytesShort } from "./byte-size.ts";
export type { Display } from "./display.ts";
export { openDisplay, type ProgressMode, type ProgressStream, progressModes } from "./open-display.ts";
export { statusJson } from "./raw-json-display.ts";
export { timestampMs, timestampText } from "./timestamp.ts";
