/** chroot(2) for commands that work on a node's root below another directory. */
import { messageOf } from "../linux/errno.ts";
import { chroot } from "../linux/libc.ts";

/** Changes the root of this process, for good. Throws Error without the capability. */
export function changeRoot(directory: string): void {
  try {
    chroot(directory);
  } catch (cause) {
    throw new Error(
      `failed to change the root to ${directory}: ${messageOf(cause)}: the capability SYS_CHROOT is needed`,
      { cause },
    );
  }
  process.chdir("/");
}
