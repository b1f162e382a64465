/**
 * Genie as the CNI plugin that a runtime executes: the verbs and their context.
 */
import { CniError } from "../cni/error.ts";
import { type Plugin, runPlugin } from "../cni/skel.ts";
import type { Request } from "../cni/plugin-request.ts";
import { systemIo } from "../cni/plugin-io.ts";
import { logs } from "../state/log-level.ts";
import { add } from "./add.ts";
import { openCallsLog } from "./calls-log.ts";
import { type Context, createContext } from "./context.ts";
import { type Dependencies, systemDependencies } from "./dependencies.ts";
import { del } from "./del.ts";
import type { Env } from "../cni/environment.ts";

/** Runs the call that the environment and stdin describe; returns the exit code. */
export function runAsPlugin(env: Env, about: string): Promise<number> {
  return runPlugin(geniePlugin(systemDependencies(env), about), systemIo(env));
}

/** The verbs, as `skel` calls them. CHECK, GC and STATUS are loaded when they are called. */
export function geniePlugin(dependencies: Dependencies, about: string): Plugin {
  return {
    about,
    add: (request) => run(request, dependencies, add),
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
      const { status } = await import("./readiness.ts");
      return run(request, dependencies, status);
    },
    refused(error, config) {
      const { env } = dependencies;
      const call = {
        command: env["CNI_COMMAND"] ?? "",
        containerId: env["CNI_CONTAINERID"] ?? "",
        ifname: env["CNI_IFNAME"] ?? "",
        args: env["CNI_ARGS"] ?? "",
      };
      openCallsLog(call, config, dependencies)?.ended(error);
    },
  };
}

/** Most calls succeed and log nothing: `outcome-log.ts` is loaded for the others. */
async function run<T>(
  request: Request,
  dependencies: Dependencies,
  verb: (context: Context) => Promise<T>,
): Promise<T> {
  const callsLog = openCallsLog(request, request.config, dependencies);
  try {
    const context = createContext(request, dependencies, callsLog);
    const result = logs(context.config.logLevel, "info")
      ? await (await import("./outcome-log.ts")).logOutcome(context, verb)
      : await verb(context);
    callsLog?.ended();
    return result;
  } catch (error) {
    callsLog?.ended(error);
    const { reportFailure } = await import("./outcome-log.ts");
    throw reportFailure(request, dependencies, CniError.from(error));
  }
}
