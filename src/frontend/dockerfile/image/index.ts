export { formatDuration, formatList, formatQuotedList, formatUnixTime } from "./go-format.ts";
export {
  type ContainerConfig,
  cloneImage,
  defaultPath,
  emptyContainerConfig,
  emptyImage,
  encodeImage,
  type HistoryEntry,
  type ImageConfig,
  normalizeImagePlatform,
  parseImage,
} from "./image-config.ts";
export { ImageEnv } from "./image-env.ts";
export { formatPlatformFully, formatPlatformShort } from "./platform-text.ts";
