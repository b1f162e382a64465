/**
 * Reads of an executable what decides where it runs: machine and loader. Only
 * 64-bit little-endian files, which is all that Bun makes for Linux.
 */

export interface ElfHeader {
  machine: string;
  /** The dynamic loader, PT_INTERP; "" for a static executable. */
  interpreter: string;
}

/** `e_machine`; other values are printed as numbers. */
const machines: Readonly<Record<number, string>> = {
  62: "x86-64",
  183: "aarch64",
};

const PT_INTERP = 3;

/** Throws when the file is no 64-bit little-endian ELF file. */
export async function readElfHeader(path: string): Promise<ElfHeader> {
  // The program headers and the loader's name are at the very beginning.
  const bytes = await Bun.file(path).slice(0, 16384).arrayBuffer();
  const view = new DataView(bytes);
  const isElf64 =
    view.byteLength >= 64 &&
    view.getUint32(0) === 0x7f454c46 &&
    view.getUint16(4) === 0x0201;
  if (!isElf64)
    throw new Error(
      `failed to read ${path}: not a 64-bit little-endian ELF file`,
    );
  const code = view.getUint16(18, true);
  return {
    machine: machines[code] ?? String(code),
    interpreter: interpreterOf(view),
  };
}

function interpreterOf(view: DataView): string {
  const start = Number(view.getBigUint64(32, true));
  const size = view.getUint16(54, true);
  const count = view.getUint16(56, true);
  for (let at = start; at < start + size * count; at += size) {
    if (view.getUint32(at, true) !== PT_INTERP) continue;
    const offset = Number(view.getBigUint64(at + 8, true));
    const length = Number(view.getBigUint64(at + 32, true));
    // Without the NUL that ends it.
    return new TextDecoder().decode(
      new Uint8Array(view.buffer, offset, length - 1),
    );
  }
  return "";
}
