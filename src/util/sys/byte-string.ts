/**
 * Raw bytes held in a string, one character (0–255) per byte. File names and tar fields are bytes, not text: in this form
 * they survive whatever their encoding is, and `<` orders them as Go and the kernel do.
 */
export type ByteString = string & { readonly __brand: "ByteString" };

/** UTF-8 bytes of a text. */
export function byteString(text: string): ByteString {
  return Buffer.from(text, "utf8").toString("latin1") as ByteString;
}

export function byteStringFrom(bytes: Uint8Array): ByteString {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1") as ByteString;
}

/** The bytes; also how a path in this form is given to `node:fs`. */
export function toBytes(value: ByteString): Buffer {
  return Buffer.from(value, "latin1");
}

/** Text for messages; bytes which are not UTF-8 become U+FFFD. */
export function toText(value: ByteString): string {
  return toBytes(value).toString("utf8");
}

/** `dir/name`; either may be empty. */
export function joinBytes(dir: ByteString, name: ByteString): ByteString {
  return (dir === "" ? name : name === "" ? dir : `${dir}/${name}`) as ByteString;
}
