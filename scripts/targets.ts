/**
 * The target platforms: Bun's name of each, the name of its C library, and the
 * expected ELF header of its executable. A new target is a new row.
 */
import type { ElfHeader } from "../lib/linux/elf.ts";

export interface Target {
  /** Its directory below dist. */
  name: string;
  bun: Bun.Build.CompileTarget;
  /**
   * The name that the loader has already resolved for the executable itself. One
   * that does not exist would be looked for in the working directory, which on a
   * node is not ours: hence a build-time constant for each target.
   */
  libc: string;
  elf: ElfHeader;
}

/** x64 without AVX2 (baseline), because a node pool may contain any machine. */
export const targets: readonly Target[] = [
  {
    name: "linux-x64-baseline",
    bun: "bun-linux-x64-baseline",
    libc: "libc.so.6",
    elf: { machine: "x86-64", interpreter: "/lib64/ld-linux-x86-64.so.2" },
  },
  {
    name: "linux-arm64",
    bun: "bun-linux-arm64",
    libc: "libc.so.6",
    elf: { machine: "aarch64", interpreter: "/lib/ld-linux-aarch64.so.1" },
  },
  {
    name: "linux-x64-baseline-musl",
    bun: "bun-linux-x64-baseline-musl",
    libc: "libc.musl-x86_64.so.1",
    elf: { machine: "x86-64", interpreter: "/lib/ld-musl-x86_64.so.1" },
  },
  {
    name: "linux-arm64-musl",
    bun: "bun-linux-arm64-musl",
    libc: "libc.musl-aarch64.so.1",
    elf: { machine: "aarch64", interpreter: "/lib/ld-musl-aarch64.so.1" },
  },
];

/** The target whose executables are of the same kind as `elf`. Throws when there is none. */
export function targetFor(elf: ElfHeader | undefined): Target {
  const target = targets.find((row) => Bun.deepEquals(row.elf, elf));
  if (!target) throw new Error(`no target for ${describeElf(elf)}`);
  return target;
}

export function describeElf(elf: ElfHeader | undefined): string {
  return elf
    ? `${elf.machine} with ${elf.interpreter || "no interpreter"}`
    : "a file that is no 64-bit little-endian ELF file";
}
