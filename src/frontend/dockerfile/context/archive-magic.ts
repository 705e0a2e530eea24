const compressed = [
  [0x42, 0x5a, 0x68], // bzip2
  [0x1f, 0x8b, 0x08], // gzip
  [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], // xz
];

/** Whether a file starts like a compressed or plain tar archive. */
export function isArchive(header: Uint8Array): boolean {
  return compressed.some((magic) => magic.every((byte, at) => header[at] === byte)) || isTarHeader(header);
}

/** A tar header block carries the sum of its own bytes, the sum's field counted as blanks. */
function isTarHeader(block: Uint8Array): boolean {
  if (block.length < 512) return false;
  const field = new TextDecoder().decode(block.subarray(148, 156)).replace(/[\0 ]+$/, "");
  if (!/^\s*[0-7]+$/.test(field)) return false;
  let sum = 0;
  for (let at = 0; at < 512; at++) sum += at >= 148 && at < 156 ? 0x20 : (block[at] ?? 0);
  return sum === Number.parseInt(field, 8);
}
