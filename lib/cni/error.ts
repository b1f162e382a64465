/**
 * The one error that crosses the CNI boundary. Everything that fails ends as a
 * `CniError`; only `skel` prints it. It owns the spec's codes and nothing else.
 */
import {
  bytesOf,
  cut,
  cutMiddle,
  escapeControls,
  isLonger,
} from "../linux/text.ts";

/** Error codes of CNI spec 1.1.0 §"Error"; 8 is libcni's, 100 and above are ours. */
export const Code = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  io: 5,
  decoding: 6,
  invalidNetworkConfig: 7,
  invalidNetns: 8,
  tryAgainLater: 11,
  notAvailable: 50,
  limitedConnectivity: 51,
  noRecord: 100,
  internal: 999,
} as const;

/** Bytes of what is printed, message and details together (state.md "Processes and locks"): it ends up in a pod's events. */
const longestText = 8 << 10;
/** Kept for the details behind a message that is longer than all that. */
const leastDetails = 1 << 10;

/** What a plugin prints on failure, CNI spec 1.1.0 §"Error". */
export interface ErrorObject {
  cniVersion: string;
  code: number;
  msg: string;
  details?: string;
}

export class CniError extends Error {
  readonly code: number;
  /** Never empty. */
  readonly details: string | undefined;

  constructor(
    code: number,
    message: string,
    options: { details?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = "CniError";
    this.code = code;
    this.details = options.details || undefined;
  }

  /** Any thrown value as a `CniError`: itself, or code 999 with the message of the error. */
  static from(thrown: unknown): CniError {
    if (thrown instanceof CniError) return thrown;
    return new CniError(Code.internal, messageOf(thrown), { cause: thrown });
  }

  /** The same error, its message preceded by `prefix` and a blank. */
  prefixed(prefix: string): CniError {
    return new CniError(this.code, `${prefix} ${this.message}`, {
      details: this.details,
      cause: this.cause,
    });
  }

  /** What is printed: at most {@link longestText}, `…` where it was cut; the cause of an error stands at its end. */
  toObject(cniVersion: string): ErrorObject {
    const { message, details = "" } = this;
    const wanted = isLonger(details, leastDetails)
      ? leastDetails
      : bytesOf(details).length;
    const msg = cutMiddle(message, longestText - wanted);
    const left = longestText - bytesOf(msg).length;
    return {
      cniVersion,
      code: this.code,
      msg,
      ...(details !== "" && { details: cutMiddle(details, left) }),
    };
  }
}

/** A value from outside as it is if it is short and printable, else as by {@link quote}. */
export function plain(value: string): string {
  return /^[\x20-\x7e]{1,128}$/.test(value) ? value : quote(value);
}

/** The text of any thrown value. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The errno name (`"ENOENT"`) of a failed system call, if it is one. */
export function errnoOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}

/**
 * A value from outside, safe inside a message: cut at 128 bytes, control
 * characters escaped, in double quotes (selection.md §2).
 */
export function quote(value: string): string {
  return quoteWhole(cut(value, 128));
}

/** What a program printed, as by {@link quote}, but up to 2 KiB of it, beginning and end (state.md "Processes and locks"). */
export function quoteOutput(text: string): string {
  return quoteWhole(cutMiddle(text.trim(), 2 << 10));
}

function quoteWhole(value: string): string {
  const json = JSON.stringify(value);
  // Almost always, and the pattern is dear (docs/performance.md).
  const isAscii = bytesOf(json).length === json.length;
  if (isAscii && !json.includes("\u007f")) return json;
  return escapeControls(json);
}
