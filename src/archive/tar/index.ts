export { encodeTarHeader, tarTrailer } from "./encode-header.ts";
export { rewriteTarTimes } from "./rewrite-times.ts";
export { TarError } from "./tar-error.ts";
export {
  isHeaderOnly,
  paddingBytes,
  type TarFormat,
  type TarHeader,
  TarType,
  tarHeader,
  xattrRecordPrefix,
  xattrsOf,
} from "./tar-header.ts";
export { type TarEntry, TarReader, type TarReaderLimits } from "./tar-reader.ts";
