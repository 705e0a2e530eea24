import { BuildHistoryRecord } from "../../api/gen/control.ts";

/** Buckets and bus messages take just under a megabyte. */
const maxRecordBytes = 768 << 10;
/** A longer message of an error is cut; its blob has all of it. */
const maxMessageLength = 64 << 10;

/** The record, without its longest attribute values when it would be too large to store. */
export function fitRecord(record: BuildHistoryRecord): BuildHistoryRecord {
  const fitted = {
    ...record,
    FrontendAttrs: { ...record.FrontendAttrs },
    ExporterResponse: { ...record.ExporterResponse },
  };
  if (fitted.error !== undefined && fitted.error.message.length > maxMessageLength) {
    fitted.error = { ...fitted.error, message: fitted.error.message.slice(0, maxMessageLength) };
  }
  let excess = BuildHistoryRecord.encode(fitted).finish().length - maxRecordBytes;
  const values = [fitted.FrontendAttrs, fitted.ExporterResponse]
    .flatMap((map) => Object.entries(map).map(([key, value]) => ({ map, key, bytes: Buffer.byteLength(value) })))
    .sort((a, b) => b.bytes - a.bytes);
  for (const { map, key, bytes } of values) {
    if (excess <= 0) break;
    delete map[key];
    excess -= bytes;
  }
  return fitted;
}
