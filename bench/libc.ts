/**
 * Functions of the C library that Bun does not have: a start of a process that costs
 * the same for every program, and the kernel's figures of its use.
 */
import { dlopen } from "bun:ffi";
import { readElfHeader } from "../lib/linux/elf.ts";
import { targetFor } from "../scripts/targets.ts";

const { libc } = targetFor(await readElfHeader(process.execPath));

export const { symbols } = dlopen(libc, {
  close: { args: ["i32"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
  mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
  pipe2: { args: ["ptr", "i32"], returns: "i32" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  posix_fadvise: { args: ["i32", "i64", "i64", "i32"], returns: "i32" },
  posix_spawn: {
    args: ["ptr", "ptr", "ptr", "ptr", "ptr", "ptr"],
    returns: "i32",
  },
  posix_spawn_file_actions_adddup2: {
    args: ["ptr", "i32", "i32"],
    returns: "i32",
  },
  posix_spawn_file_actions_addchdir_np: {
    args: ["ptr", "ptr"],
    returns: "i32",
  },
  posix_spawn_file_actions_destroy: { args: ["ptr"], returns: "i32" },
  posix_spawn_file_actions_init: { args: ["ptr"], returns: "i32" },
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: "i64" },
  syscall: { args: ["i64", "i64", "i64"], returns: "i64" },
  umount2: { args: ["ptr", "i32"], returns: "i32" },
  unshare: { args: ["i32"], returns: "i32" },
  wait4: { args: ["i32", "ptr", "i32", "ptr"], returns: "i32" },
  write: { args: ["i32", "ptr", "u64"], returns: "i64" },
});

/** A text as C reads it. */
export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

/** `struct rusage`: user and system time of 16 bytes each, then ru_maxrss in KiB. */
export class Usage {
  readonly memory = new BigInt64Array(18);

  get cpuMs(): number {
    const [seconds, micros, systemSeconds, systemMicros] = this.memory;
    return (
      Number((seconds ?? 0n) + (systemSeconds ?? 0n)) * 1000 +
      Number((micros ?? 0n) + (systemMicros ?? 0n)) / 1000
    );
  }

  get peakMiB(): number {
    return Number(this.memory[4]) / 1024;
  }
}

/** Waits for the end of a child. Throws Error when it is none. */
export function reaped(pid: number): { status: number; usage: Usage } {
  const status = new Int32Array(1);
  const usage = new Usage();
  // A signal of Bun's own threads may interrupt it.
  for (let attempt = 0; attempt < 100; attempt++)
    if (symbols.wait4(pid, status, 0, usage.memory) === pid)
      return { status: status[0] ?? -1, usage };
  throw new Error(`failed to wait for process ${pid}`);
}
