/**
 * A call that failed: what the log says of it, and the error in words that every
 * runtime takes for one. Loaded when that happens.
 */
import { CniError } from "../cni/error.ts";
import { own } from "../cni/json.ts";
import type { Request } from "../cni/skel.ts";
import { createLog } from "./log.ts";
import { logContext } from "./context.ts";
import type { Dependencies } from "./dependencies.ts";

/** Logs the error as it is; returns what the runtime is told. */
export function failed(
  request: Request,
  dependencies: Dependencies,
  error: CniError,
): CniError {
  // Runtimes ask for the STATUS every few seconds and show the answer themselves.
  if (request.command === "STATUS") return error;
  const { stderr, now } = dependencies;
  // The configuration may be what is wrong.
  const level = omitUndefined(request, "log_level") ?? "warn";
  const file = omitUndefined(request, "logFile");
  const { code, message, details } = error;
  const log = (path: string | undefined) =>
    createLog(level, path, stderr, now, logContext(request)).error(
      `${request.command} failed`,
      { code, error: message, details },
    );
  log(file);
  if (request.command !== "DEL") return error;
  const told = retryable(error);
  // The runtime is told other words: the original goes to stderr as well (state.md "DEL").
  if (told !== error && file !== undefined) log(undefined);
  return told;
}

function omitUndefined({ config }: Request, key: string): string | undefined {
  const value = own(config, key);
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Texts that containerd takes for success (P-DEL-4), and what they become. */
const swallowed = [
  [/not found/gi, "missing"],
  [/no such file or directory/gi, "ENOENT"],
] as const;

/** The error of a DEL in words that every runtime retries; the same one where it has no others. */
export function retryable(error: CniError): CniError {
  const reworded = (words: string) =>
    swallowed.reduce(
      (text, [phrase, instead]) => text.replace(phrase, instead),
      words,
    );
  const message = reworded(error.message);
  const details = error.details && reworded(error.details);
  if (message === error.message && details === error.details) return error;
  return new CniError(error.code, message, { details, cause: error });
}
