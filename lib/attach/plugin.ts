/**
 * Genie as the CNI plugin that a runtime executes: the verbs and their context.
 */
import { CniError } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import { type Plugin, type Request, runPlugin } from "../cni/skel.ts";
import { statusIfAny } from "../linux/files.ts";
import {
  isStdoutClosed,
  readStdin,
  writeStderr,
  writeStdout,
} from "../linux/stdio.ts";
import { add } from "./add.ts";
import { del } from "./del.ts";
import { logs } from "./log.ts";
import {
  type Context,
  createContext,
  type Dependencies,
  systemDependencies,
} from "./context.ts";

/** Runs the call that the environment and stdin describe; returns the exit code. */
export function runAsPlugin(
  env: Readonly<Record<string, string | undefined>>,
  about: string,
): Promise<number> {
  return runPlugin(geniePlugin(systemDependencies(env), about), {
    env,
    readStdin,
    isStdoutClosed,
    stdout: writeStdout,
    stderr: writeStderr,
    netnsId: fileId,
  });
}

function fileId(path: string): string | undefined {
  try {
    return statusIfAny(path)?.id;
  } catch {
    // A path that we may not look at is not our own namespace.
    return undefined;
  }
}

/** The verbs, as `skel` calls them. */
export function geniePlugin(dependencies: Dependencies, about: string): Plugin {
  return {
    about,
    add: (request) => call(request, dependencies, addPod),
    del: (request) => call(request, dependencies, del),
    // Rare, or in no hurry: not loaded for an ADD or a DEL.
    async check(request) {
      const { check } = await import("./check.ts");
      return call(request, dependencies, check);
    },
    async gc(request) {
      const { gc } = await import("./gc.ts");
      return call(request, dependencies, gc);
    },
    async status(request) {
      const { notAvailable, status } = await import("./check.ts");
      return call(request, dependencies, status, notAvailable);
    },
  };
}

async function addPod(context: Context): Promise<Result> {
  const { unknownKeys } = context.config;
  if (unknownKeys.length > 0) {
    const { describeUnknownKeys } = await import("../select/nearest.ts");
    const { configKeys } = await import("../select/config-schema.ts");
    const keys = describeUnknownKeys(unknownKeys, configKeys);
    context.log().warn(`unknown configuration keys are ignored: ${keys}`);
  }
  return add(context);
}

/**
 * Most calls succeed and log nothing: what deals with the others is loaded for
 * them. `invalid` is the error of a configuration that cannot be used.
 */
async function call<T>(
  request: Request,
  dependencies: Dependencies,
  verb: (context: Context) => Promise<T>,
  invalid?: (cause: unknown) => CniError,
): Promise<T> {
  try {
    const context = begin(request, dependencies, invalid);
    if (!logs(context.config.logLevel, "info")) return await verb(context);
    const { journalled } = await import("./journal.ts");
    return await journalled(context, verb);
  } catch (error) {
    const { reportFailure } = await import("./journal.ts");
    throw reportFailure(request, dependencies, CniError.from(error));
  }
}

function begin(
  request: Request,
  dependencies: Dependencies,
  invalid?: (cause: unknown) => CniError,
): Context {
  try {
    return createContext(request, dependencies);
  } catch (cause) {
    throw invalid?.(cause) ?? cause;
  }
}
