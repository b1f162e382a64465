/**
 * Mounts directories over others, for the bench and its children only: some programs
 * have fixed directories.
 */
import { mkdirSync, rmSync } from "node:fs";
import { symbols, text } from "../libc.ts";

const CLONE_NEWNS = 0x20000;
const MS_BIND = 0x1000n;
const MS_REC = 0x4000n;
const MS_PRIVATE = 1n << 18n;

let isPrivate = false;

/** Shows `directory` at `place`; disposal removes directories made for it. Throws Error without the privilege. */
export function cover(place: string, directory: string): Disposable {
  if (!isPrivate) {
    done(symbols.unshare(CLONE_NEWNS), "leave the mounts of the machine");
    mount("none", "/", MS_REC | MS_PRIVATE);
    isPrivate = true;
  }
  const made = mkdirSync(place, { recursive: true });
  mount(directory, place, MS_BIND);
  return {
    [Symbol.dispose]() {
      done(symbols.umount2(text(place), 0), `uncover ${place}`);
      if (made !== undefined) rmSync(made, { recursive: true });
    },
  };
}

function mount(source: string, target: string, flags: bigint): void {
  const result = symbols.mount(text(source), text(target), null, flags, null);
  done(result, `mount ${source} on ${target}`);
}

function done(result: number, what: string): void {
  if (result !== 0) throw new Error(`failed to ${what}`);
}
