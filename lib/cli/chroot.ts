/**
 * chroot(2), which Bun does not have. It selects the C library, as
 * `lib/linux/libc.ts` does.
 */
import { dlopen } from "bun:ffi";

declare const GENIE_LIBC: string | undefined;

/** Changes the root of this process, for good. Throws Error without the capability. */
export function changeRoot(directory: string): void {
  const { symbols } = dlopen(
    typeof GENIE_LIBC === "string" ? GENIE_LIBC : "libc.so.6",
    { chroot: { args: ["ptr"], returns: "i32" } },
  );
  if (symbols.chroot(Buffer.from(`${directory}\0`)) !== 0)
    throw new Error(
      `failed to change the root to ${directory}: the capability SYS_CHROOT is needed`,
    );
  process.chdir("/");
}
