/**
 * flock(2): a lock on an open file, which every process that inherits the descriptor
 * holds (state.md "Processes and locks").
 */
import { SYS, call, checked } from "./libc.ts";

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

const EWOULDBLOCK = 11;

/**
 * Takes the exclusive lock of an open file; false if another process has it. Throws
 * SystemError for every other failure.
 */
export function tryLock(fd: number): boolean {
  return flock(fd, LOCK_EX | LOCK_NB);
}

/**
 * Takes a shared lock; false if another process has the exclusive one. Throws as
 * {@link tryLock}.
 */
export function tryShare(fd: number): boolean {
  return flock(fd, LOCK_SH | LOCK_NB);
}

/** Only EWOULDBLOCK means that the lock is taken: ENOLCK, EIO and others are permanent. */
function flock(fd: number, operation: number): boolean {
  const result = call(SYS.flock, fd, operation);
  if (result !== -EWOULDBLOCK) checked(result);
  return result === 0;
}

/** Releases the lock for every process that inherited the descriptor. */
export function unlock(fd: number): void {
  call(SYS.flock, fd, LOCK_UN);
}
