import type { Descriptor } from "../../core/values/descriptor.ts";

/** What an exporter wrote, from its response; undefined for exporters of plain files. */
export function resultDescriptor(response: Readonly<Record<string, string>>): Descriptor | undefined {
  const encoded = response["containerimage.descriptor"];
  return encoded === undefined ? undefined : (JSON.parse(Buffer.from(encoded, "base64").toString()) as Descriptor);
}
