/**
 * The plugin side of the protocol: reads the runtime's request, calls the verb, prints one
 * result or one error. It is the only module that prints; all others throw.
 */
import { CniError } from "./error.ts";
import { messageOf } from "../linux/errno.ts";
import type { JsonObject } from "./json.ts";
import { convertResult, type Result } from "./result.ts";
import {
  latestVersion,
  supportedVersions,
  versionResponse,
} from "./version.ts";
import type { Io } from "./plugin-io.ts";
import {
  type Request,
  verbs,
  type PartialRequest,
  readRequest,
} from "./plugin-request.ts";

/**
 * The verbs; each throws a CniError if it fails. `add` returns its result in any
 * version, and skel converts it to the configuration's.
 */
export interface Plugin {
  /** One line for a user who runs the program by hand. */
  about: string;
  add(request: Request): Promise<Result>;
  del(request: Request): Promise<void>;
  check(request: Request): Promise<void>;
  gc(request: Request): Promise<void>;
  status(request: Request): Promise<void>;
  /**
   * Called with the error of a request that is refused before its verb is called, and
   * what is known of its configuration.
   */
  refused?(error: CniError, config: JsonObject): void;
}

/** Serves one call of the runtime. Never throws; returns the exit code, 0 or 1. */
export async function runPlugin(plugin: Plugin, io: Io): Promise<number> {
  const known: PartialRequest = { version: latestVersion, config: {} };
  let request: Request | undefined;
  let response: string;
  let exitCode = 0;
  try {
    if (!io.env["CNI_COMMAND"]) {
      io.stderr(aboutText(plugin));
      return 0;
    }
    request = readRequest(io, known);
    if (request) {
      const { method } = verbs[request.command];
      const result = await plugin[method](request);
      response = result
        ? `${JSON.stringify(convertResult(result, request.cniVersion))}\n`
        : "";
    } else response = versionResponse;
  } catch (thrown) {
    const error = CniError.from(thrown);
    response = `${JSON.stringify(error.toObject(known.version))}\n`;
    if (!request) plugin.refused?.(error, known.config);
    exitCode = 1;
  }
  try {
    if (response !== "") io.stdout(response);
    return exitCode;
  } catch (cause) {
    // An error is short; a result would be useless on stderr.
    const unprinted = exitCode === 0 ? "" : response;
    io.stderr(`failed to write to stdout: ${messageOf(cause)}\n${unprinted}`);
    return 1;
  }
}

function aboutText({ about }: Plugin): string {
  return `${about}\nCNI protocol versions supported: ${supportedVersions.join(", ")}\n`;
}
