/**
 * Keeps the limit on open files that genie is started with. Bun raises the soft limit
 * to the hard one before any of our code runs, every delegate would inherit it
 * (state.md "Processes and locks"), and the former value is lost. So the executable
 * must not call setrlimit: the name in its symbol table becomes getrlimit, which takes
 * the same arguments and changes nothing. Bun uses setrlimit for nothing else.
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs";

/** The loader's names are at the beginning of the file, before the program. */
const headBytes = 1 << 20;

/** Changes the executable. Throws Error when it does not look as expected. */
export function keepFileLimit(path: string): void {
  const fd = openSync(path, "r+");
  try {
    const head = Buffer.alloc(headBytes);
    readSync(fd, head, 0, headBytes, 0);
    const [from, to] = [only(head, "setrlimit"), only(head, "getrlimit")];
    if (from === undefined || to === undefined)
      throw new Error(
        `failed to keep the file limit of ${path}: expected one setrlimit and one getrlimit among its symbols`,
      );
    writeSync(fd, "getrlimit", from);
  } finally {
    closeSync(fd);
  }
}

/** Where the name stands; undefined when it stands nowhere or twice. */
function only(head: Buffer, name: string): number | undefined {
  const text = `\0${name}\0`;
  const at = head.indexOf(text);
  const isOnly = at >= 0 && head.indexOf(text, at + 1) < 0;
  return isOnly ? at + 1 : undefined;
}
