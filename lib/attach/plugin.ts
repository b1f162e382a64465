/**
 * Genie as the CNI plugin that a runtime executes: the verbs and their context.
 */
import { CniError } from "../cni/error.ts";
import type { Result } from "../cni/result.ts";
import { type Plugin, type Request, runPlugin, systemIo } from "../cni/skel.ts";
import { openToAppend } from "../linux/files.ts";
import { defaultDataDir } from "../select/config.ts";
import { add } from "./add.ts";
import { CallLog } from "./call-log.ts";
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

/** Most calls succeed and log nothing: the journal and the agent's log are loaded for the others. */
async function run<T>(
  request: Request,
  dependencies: Dependencies,
  verb: (context: Context) => Promise<T>,
): Promise<T> {
  const calls = openCallLog(request, dependencies);
  try {
    const context = createContext(request, dependencies);
    if (calls) context.calls = calls;
    const result = await runLogged(context, verb);
    calls?.ended();
    return result;
  } catch (error) {
    calls?.ended(error);
    const { reportFailure } = await import("./journal.ts");
    throw reportFailure(request, dependencies, CniError.from(error));
  }
}

async function runLogged<T>(
  context: Context,
  verb: (context: Context) => Promise<T>,
): Promise<T> {
  if (!logs(context.config.logLevel, "info")) return verb(context);
  const { journalled } = await import("./journal.ts");
  return journalled(context, verb);
}

/**
 * The agent's log, if it exists (agent.md "Metrics"). Reads `dataDir` without
 * validation: a call with an invalid configuration has a line too.
 */
function openCallLog(
  request: Request,
  dependencies: Dependencies,
): CallLog | undefined {
  const { dataDir } = request.config;
  const isPath = typeof dataDir === "string" && dataDir.startsWith("/");
  const directory = isPath ? dataDir : defaultDataDir;
  const fd = openToAppend(directory, "calls.log", longestCallLog);
  return fd === undefined ? undefined : new CallLog(fd, request, dependencies);
}

/** Bytes. The agent rotates it at 1 MiB; without the agent it must not fill the disk. */
const longestCallLog = 16 << 20;
