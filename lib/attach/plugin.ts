/**
 * Genie as the CNI plugin that a runtime executes: the verbs and their context.
 */
import { CniError } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import { type Plugin, type Request, runPlugin, systemIo } from "../cni/skel.ts";
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
  return runPlugin(geniePlugin(systemDependencies(env), about), systemIo(env));
}

/** The verbs, as `skel` calls them. CHECK, GC and STATUS are loaded when they are called. */
export function geniePlugin(dependencies: Dependencies, about: string): Plugin {
  return {
    about,
    add: (request) => run(request, dependencies, addPod),
    del: (request) => run(request, dependencies, del),
    async check(request) {
      const { check } = await import("./check.ts");
      return run(request, dependencies, check);
    },
    async gc(request) {
      const { gc } = await import("./gc.ts");
      return run(request, dependencies, gc);
    },
    async status(request) {
      const { status } = await import("./check.ts");
      return run(request, dependencies, status);
    },
  };
}

async function addPod(context: Context): Promise<Result> {
  const { unknownKeys } = context.config;
  if (unknownKeys.length > 0) {
    const { describeUnknownKeys } = await import("../select/nearest-key.ts");
    const { configKeys } = await import("../select/config-schema.ts");
    const keys = describeUnknownKeys(unknownKeys, configKeys);
    context.log().warn(`unknown configuration keys are ignored: ${keys}`);
  }
  return add(context);
}

/** Most calls succeed and log nothing: the journal is loaded for the others. */
async function run<T>(
  request: Request,
  dependencies: Dependencies,
  verb: (context: Context) => Promise<T>,
): Promise<T> {
  try {
    const context = createContext(request, dependencies);
    if (!logs(context.config.logLevel, "info")) return await verb(context);
    const { journalled } = await import("./journal.ts");
    return await journalled(context, verb);
  } catch (error) {
    const { reportFailure } = await import("./journal.ts");
    throw reportFailure(request, dependencies, CniError.from(error));
  }
}
