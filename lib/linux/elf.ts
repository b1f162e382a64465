/**
 * Reads the machine and the dynamic loader that an executable needs. Only 64-bit
 * little-endian files, the only kind that we build.
 */
import { messageOf } from "./errno.ts";

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
const fileHeaderBytes = 64;
const programHeaderBytes = 56;

/** The program headers and the loader's name are at the beginning of a file. */
const headBytes = 64 << 10;

/** undefined for another kind of file. Throws Error for one that cannot be read. */
export async function readElfHeader(
  path: string,
): Promise<ElfHeader | undefined> {
  let bytes: ArrayBuffer;
  try {
    bytes = await Bun.file(path).slice(0, headBytes).arrayBuffer();
  } catch (cause) {
    throw new Error(`failed to read ${path}: ${messageOf(cause)}`, { cause });
  }
  const view = new DataView(bytes);
  const isElf64 =
    view.byteLength >= fileHeaderBytes &&
    view.getUint32(0) === 0x7f454c46 &&
    view.getUint16(4) === 0x0201;
  if (!isElf64) return undefined;
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
  for (let i = 0; i < count; i++) {
    const at = start + i * size;
    if (at + programHeaderBytes > view.byteLength) return "";
    if (view.getUint32(at, true) !== PT_INTERP) continue;
    const offset = Number(view.getBigUint64(at + 8, true));
    const length = Number(view.getBigUint64(at + 32, true));
    // Without the NUL that ends it.
    const name = view.buffer.slice(offset, offset + length - 1);
    return new TextDecoder().decode(name);
  }
  return "";
}
