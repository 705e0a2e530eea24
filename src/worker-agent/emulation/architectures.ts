/** What tells programs of an architecture from others: fields of their ELF header (elf(5), registered e_machine values). */
interface ElfKind {
  readonly bits: 32 | 64;
  readonly bigEndian?: true;
  readonly machine: number;
  /** QEMU's name of it, where that is not Go's. */
  readonly qemu?: string;
}

/** Architectures that QEMU emulates, in the order in which BuildKit lists them (util/archutil/detect.go). */
const kinds: ReadonlyMap<string, ElfKind> = new Map([
  ["amd64", { bits: 64, machine: 62, qemu: "x86_64" }],
  ["arm64", { bits: 64, machine: 183, qemu: "aarch64" }],
  ["riscv64", { bits: 64, machine: 243 }],
  ["ppc64", { bits: 64, bigEndian: true, machine: 21 }],
  ["ppc64le", { bits: 64, machine: 21 }],
  ["s390x", { bits: 64, bigEndian: true, machine: 22 }],
  ["386", { bits: 32, machine: 3, qemu: "i386" }],
  ["mips64le", { bits: 64, machine: 8, qemu: "mips64el" }],
  ["mips64", { bits: 64, bigEndian: true, machine: 8 }],
  ["loong64", { bits: 64, machine: 258, qemu: "loongarch64" }],
  ["arm", { bits: 32, machine: 40 }],
]);

/** Go's names. */
export const emulatedArchitectures: readonly string[] = [...kinds.keys()];

export function qemuName(architecture: string): string {
  return kinds.get(architecture)?.qemu ?? architecture;
}

/** The first bytes of its programs, and which bits of them count: not the system's ABI, not what tells static from relocatable. */
export function programHeader(architecture: string): { readonly magic: Buffer; readonly mask: Buffer } {
  const kind = kinds.get(architecture);
  if (kind === undefined) throw new Error(`no ELF header is known for architecture ${architecture}`);
  const { bits, bigEndian = false, machine } = kind;
  const executable = 2;
  const halves = Buffer.alloc(4);
  const typeMask = Buffer.alloc(2);
  if (bigEndian) {
    halves.writeUInt16BE(executable);
    halves.writeUInt16BE(machine, 2);
    typeMask.writeUInt16BE(0xfffe);
  } else {
    halves.writeUInt16LE(executable);
    halves.writeUInt16LE(machine, 2);
    typeMask.writeUInt16LE(0xfffe);
  }
  const identity = Buffer.from([0x7f, 0x45, 0x4c, 0x46, bits / 32, bigEndian ? 2 : 1, 1, 0]);
  const identityMask = Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]);
  return {
    magic: Buffer.concat([identity, Buffer.alloc(8), halves]),
    mask: Buffer.concat([identityMask, Buffer.alloc(8, 0xff), typeMask, Buffer.from([0xff, 0xff])]),
  };
}
