/**
 * The kernel's errors by number and name, with Go's texts, so that events of pods
 * read alike. The numbers are those of Linux on x86-64 and arm64. Pure.
 */

/** A failed system call or request to the kernel; `code` is the errno's name. */
export class SystemError extends Error {
  readonly code: string;
  /** The kernel's additional text, or "". */
  readonly note: string;

  constructor(code: string, note = "") {
    super(textOf(code));
    this.name = "SystemError";
    this.code = code;
    this.note = note;
  }

  static fromNumber(errno: number, note = ""): SystemError {
    return new SystemError(nameOf(errno), note);
  }
}

/** A failed step of an operation: `<action>: <the kernel's reason>`. */
export class StepError extends Error {
  /** The errno's name, with the kernel's additional text. */
  readonly details: string;

  constructor(failure: string, cause: SystemError) {
    super(`${failure}: ${cause.message}`, { cause });
    this.name = "StepError";
    this.details = cause.note ? `${cause.code}: ${cause.note}` : cause.code;
  }
}

/**
 * Returns the result of `work`. Throws StepError `<failure>: <the kernel's reason>`
 * for a SystemError.
 */
export function step<T>(failure: string | (() => string), work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new StepError(
      typeof failure === "string" ? failure : failure(),
      error,
    );
  }
}

/** Another user can write to a directory of ours. */
export class UnsafeDirectory extends Error {
  override readonly name = "UnsafeDirectory";
}

type Row = readonly [errno: number, name: string, text: string];

/** Made for the first failed call, which most pods never have. */
const table = (): readonly Row[] => [
  [1, "EPERM", "operation not permitted"],
  [2, "ENOENT", "no such file or directory"],
  [3, "ESRCH", "no such process"],
  [4, "EINTR", "interrupted system call"],
  [5, "EIO", "input/output error"],
  [6, "ENXIO", "no such device or address"],
  [7, "E2BIG", "argument list too long"],
  [8, "ENOEXEC", "exec format error"],
  [9, "EBADF", "bad file descriptor"],
  [11, "EAGAIN", "resource temporarily unavailable"],
  [12, "ENOMEM", "cannot allocate memory"],
  [13, "EACCES", "permission denied"],
  [14, "EFAULT", "bad address"],
  [16, "EBUSY", "device or resource busy"],
  [17, "EEXIST", "file exists"],
  [19, "ENODEV", "no such device"],
  [18, "EXDEV", "invalid cross-device link"],
  [20, "ENOTDIR", "not a directory"],
  [21, "EISDIR", "is a directory"],
  [22, "EINVAL", "invalid argument"],
  [23, "ENFILE", "too many open files in system"],
  [24, "EMFILE", "too many open files"],
  [26, "ETXTBSY", "text file busy"],
  [27, "EFBIG", "file too large"],
  [28, "ENOSPC", "no space left on device"],
  [30, "EROFS", "read-only file system"],
  [32, "EPIPE", "broken pipe"],
  [34, "ERANGE", "numerical result out of range"],
  [36, "ENAMETOOLONG", "file name too long"],
  [37, "ENOLCK", "no locks available"],
  [38, "ENOSYS", "function not implemented"],
  [39, "ENOTEMPTY", "directory not empty"],
  [40, "ELOOP", "too many levels of symbolic links"],
  [74, "EBADMSG", "bad message"],
  [90, "EMSGSIZE", "message too long"],
  [92, "ENOPROTOOPT", "protocol not available"],
  [93, "EPROTONOSUPPORT", "protocol not supported"],
  [95, "EOPNOTSUPP", "operation not supported"],
  [97, "EAFNOSUPPORT", "address family not supported by protocol"],
  [99, "EADDRNOTAVAIL", "cannot assign requested address"],
  [100, "ENETDOWN", "network is down"],
  [101, "ENETUNREACH", "network is unreachable"],
  [105, "ENOBUFS", "no buffer space available"],
  [110, "ETIMEDOUT", "connection timed out"],
  [111, "ECONNREFUSED", "connection refused"],
  [113, "EHOSTUNREACH", "no route to host"],
  [116, "ESTALE", "stale file handle"],
  [117, "EUCLEAN", "structure needs cleaning"],
  [122, "EDQUOT", "disk quota exceeded"],
];

function nameOf(errno: number): string {
  return table().find(([number]) => number === errno)?.[1] ?? `errno ${errno}`;
}

function textOf(code: string): string {
  return table().find(([, name]) => name === code)?.[2] ?? code;
}

/** The text of any thrown value. An error of `node:fs` reads like those of our own system calls. */
export function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const { code, syscall, path, dest }: FileError = thrown;
  if (code === undefined || syscall === undefined || path === undefined)
    return thrown.message;
  const to = dest === undefined ? "" : ` to ${JSON.stringify(dest)}`;
  return `failed to ${syscall} ${JSON.stringify(path)}${to}: ${textOf(code)}`;
}

interface FileError extends Error {
  code?: string;
  syscall?: string;
  path?: string;
  dest?: string;
}

/** The errno name (`"ENOENT"`) of a failed system call; undefined for another error. */
export function errnoOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}
