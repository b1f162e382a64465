/**
 * The one error that crosses the CNI boundary: every failure becomes a `CniError`, and
 * only `skel` prints it. It owns the spec's codes.
 */
import {
  StepError,
  SystemError,
  UnsafeDirectory,
  messageOf,
} from "../linux/errno.ts";
import { bytesOf, cutMiddle, isLonger } from "../linux/text.ts";

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

/**
 * Bytes of a message, of details, and of both together where they are printed
 * (state.md "Processes and locks"): they end up in a pod's events and in logs.
 */
const longestText = 8 << 10;
/** Bytes reserved for the details if the message is too long. */
const leastDetails = 1 << 10;

/** The error object that a plugin prints, CNI spec 1.1.0 §"Error". */
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
    super(cutMiddle(message, longestText), { cause: options.cause });
    this.name = "CniError";
    this.code = code;
    this.details = cutMiddle(options.details ?? "", longestText) || undefined;
  }

  /** Any thrown value as a `CniError`: itself, else a new one with the message of the error. */
  static from(thrown: unknown): CniError {
    if (thrown instanceof CniError) return thrown;
    return new CniError(codeOf(thrown), messageOf(thrown), {
      details: thrown instanceof StepError ? thrown.details : undefined,
      cause: thrown,
    });
  }

  /** The same error with `prefix` and a blank before its message. */
  prefixed(prefix: string): CniError {
    return new CniError(this.code, `${prefix} ${this.message}`, {
      details: this.details,
      cause: this.cause,
    });
  }

  /** The message and the details, for an operator. */
  toText(): string {
    return [this.message, this.details].filter(Boolean).join("; ");
  }

  /**
   * The printed text: at most {@link longestText}, with `…` at the cut; the end
   * stays, because it has the cause.
   */
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

/** 11 for a shortage of memory, descriptors or processes, 5 for the disk, 999 for all else. */
function codeOf(thrown: unknown): number {
  const cause = thrown instanceof StepError ? thrown.cause : thrown;
  if (cause instanceof SystemError && shortage.test(cause.code))
    return Code.tryAgainLater;
  return thrown instanceof SystemError || thrown instanceof UnsafeDirectory
    ? Code.io
    : Code.internal;
}

const shortage = /^(?:EAGAIN|EMFILE|ENFILE|ENOMEM)$/;

/** Code 7: a wrong annotation, configuration or definition. */
export function invalidConfig(message: string, cause?: unknown): CniError {
  return new CniError(Code.invalidNetworkConfig, message, { cause });
}
