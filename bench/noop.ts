/**
 * The delegate that does nothing, as machine code: a static executable of two
 * system calls, so that the floor under every row is the kernel's and not a
 * shell's. Made here because a fresh machine has no compiler.
 */

/** ELF64 header and one program header. */
const headerSize = 64 + 56;
const base = 0x400000;

interface Machine {
  /** e_machine */
  elf: number;
  /** write(1, text, length); exit(0), with the text right behind it. */
  code(length: number): Uint8Array;
}

/** By `process.arch`. */
const machines: Readonly<Record<string, Machine>> = {
  x64: { elf: 62, code: x64 },
  arm64: { elf: 183, code: arm64 },
};

/** The bytes of an executable that prints `text` and succeeds. Throws for a machine without a row. */
export function printing(text: string, arch = process.arch): Uint8Array {
  const machine = machines[arch];
  if (!machine) throw new Error(`no delegate for ${arch}`);
  const data = Buffer.from(text);
  const code = machine.code(data.length);
  const size = headerSize + code.length + data.length;
  return Buffer.concat([header(machine.elf, size), code, data]);
}

/** One segment, the whole file, readable and executable. */
function header(machine: number, size: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(headerSize));
  const bytes = new Uint8Array(view.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, machine, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(base + headerSize), true); // entry
  view.setBigUint64(32, 64n, true); // program headers
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true); // PT_LOAD
  view.setUint32(68, 5, true); // read, execute
  view.setBigUint64(80, BigInt(base), true);
  view.setBigUint64(88, BigInt(base), true);
  view.setBigUint64(96, BigInt(size), true);
  view.setBigUint64(104, BigInt(size), true);
  view.setBigUint64(112, 0x1000n, true);
  return bytes;
}

function x64(length: number): Uint8Array {
  const code = new DataView(new ArrayBuffer(31));
  const bytes = new Uint8Array(code.buffer);
  // mov eax, 1; mov edi, 1; lea rsi, [rip + 14]; mov edx, length; syscall
  bytes.set([0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0]);
  bytes.set([0x48, 0x8d, 0x35, 14, 0, 0, 0, 0xba], 10);
  code.setUint32(18, length, true);
  bytes.set([0x0f, 0x05], 22);
  // push 60; pop rax; xor edi, edi; syscall
  bytes.set([0x6a, 60, 0x58, 0x31, 0xff, 0x0f, 0x05], 24);
  return bytes;
}

function arm64(length: number): Uint8Array {
  const code = new Uint32Array([
    0xd2800020, // mov x0, 1
    0x100000e1, // adr x1, 28 bytes on
    0xd2800002 | (length << 5), // mov x2, length
    0xd2800808, // mov x8, 64 (write)
    0xd4000001, // svc 0
    0xd2800000, // mov x0, 0
    0xd2800ba8, // mov x8, 93 (exit)
    0xd4000001, // svc 0
  ]);
  return new Uint8Array(code.buffer);
}
