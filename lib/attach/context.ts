/**
 * The context of a call: the request, our configuration, the node's networks,
 * records and log, and the dependencies. It owns the time limits of the phases
 * (state.md "Time").
 */
import { cniArg } from "../cni/args.ts";
import { listConfDir, readConfFile } from "../cni/confdir.ts";
import { CniError, Code, invalidConfig } from "../cni/error.ts";
import { type Execution, noContainer } from "../cni/invoke.ts";
import type { Request } from "../cni/plugin-request.ts";
import type { Kube, Try } from "../kube/client.ts";
import { Deadline } from "../linux/deadline.ts";
import { plain } from "../linux/text.ts";
import type { Attachment } from "../select/attachment.ts";
import type { Choice } from "../select/choice.ts";
import {
  type GenieConfig,
  readConfig,
  readConfigForCleanup,
} from "../select/config.ts";
import {
  type Networks,
  lazyNetworks,
  ownTypes,
} from "../select/node-networks.ts";
import { containerVariable } from "../state/lock.ts";
import type { Log } from "../state/log-level.ts";
import type * as logModule from "../state/log-writer.ts";
import type { PodReference } from "../state/record.ts";
import { Records } from "../state/records.ts";
import type { Dependencies } from "./dependencies.ts";

/** Milliseconds of each phase; rollback counts from the start of ADD (container-runtimes.md K-3). */
export const phases = {
  add: 150_000,
  rollback: 210_000,
  del: 50_000,
  gc: 25_000,
  check: 60_000,
  status: 5_000,
} as const;

/** The end of a phase that begins now. */
export function deadlineOf(
  { dependencies }: Context,
  phase: keyof typeof phases,
): Deadline {
  return new Deadline(phases[phase], dependencies.clock);
}

export interface Context {
  request: Request;
  config: GenieConfig;
  dependencies: Dependencies;
  /** Created with the first line: most calls log nothing. */
  log(): Log;
  /** Called after each execution; absent below `log_level` info. */
  executed?: ((execution: Execution) => void) | undefined;
  /** Present while the agent's file exists (agent.md "Metrics"). */
  callsLog?:
    | {
        executed(execution: Execution): void;
        requested(request: Try): void;
      }
    | undefined;
  /** Called with the choice of an ADD and its attachments; absent as `executed`. */
  chosen?: (choice: Choice, attachments: readonly Attachment[]) => void;
  records: Records;
  /** Absent outside of Kubernetes. */
  pod: PodReference | undefined;
  /** The directories of plugins: CNI_PATH, then `binDir`. */
  path: readonly string[];
}

/** Throws 7 for an invalid configuration of an ADD, 50 of a STATUS; it stops no other verb (state.md "DEL"). */
export function createContext(
  request: Request,
  dependencies: Dependencies,
  callsLog?: Context["callsLog"],
): Context {
  const warnings: string[] = [];
  const config = requestConfig(request, warnings);
  let log: Log | undefined;
  const context: Context = {
    request,
    config,
    dependencies,
    log: () =>
      (log ??= loadLog().createLog(
        config.logLevel,
        config.logFile,
        dependencies.stderr,
        dependencies.now,
        logContext(request, dependencies.env),
      )),
    callsLog,
    records: new Records(config.dataDir),
    pod: podReference(request.args),
    path: [...request.path, ...config.binDirs],
  };
  for (const warning of warnings) context.log().warn(warning);
  return context;
}

/** Most calls log nothing. */
export function loadLog(): typeof logModule {
  // oxlint-disable-next-line no-unsafe-return -- a require() has no types, the import above has
  return require("../state/log-writer.ts");
}

function requestConfig(
  { command, config }: Request,
  warnings: string[],
): GenieConfig {
  if (command !== "ADD" && command !== "STATUS")
    return readConfigForCleanup(config, (text) => warnings.push(text));
  try {
    return readConfig(config);
  } catch (cause) {
    throw command === "STATUS" ? notAvailable(cause) : cause;
  }
}

/** The error with which STATUS says that an ADD would fail. */
export function notAvailable(cause: unknown): CniError {
  const { message, details } = CniError.from(cause);
  return new CniError(Code.notAvailable, message, { details, cause });
}

/** The parts of a call that its log lines name. */
export interface CallNames {
  command: string;
  containerId: string;
  ifname: string;
  args: string;
}

/** The fields of each line of a call. */
export function logContext(
  { command, containerId, ifname, args }: CallNames,
  env: Dependencies["env"],
) {
  const pod = podReference(args);
  const traceparent = env["TRACEPARENT"];
  return {
    verb: command,
    pod: pod && `${pod.namespace}/${pod.name}`,
    containerId: containerId || undefined,
    ifname: ifname || undefined,
    traceId: traceparent ? traceIdOf(traceparent) : undefined,
  };
}

/** The trace ID of a W3C traceparent: `00-<trace ID>-<span ID>-<flags>`; undefined for an invalid one. */
function traceIdOf(traceparent: string): string | undefined {
  const pattern =
    /^(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})[\da-f]{16}-[\da-f]{2}(?:$|-)/;
  return pattern.exec(traceparent)?.[1];
}

/** A pod has a namespace and a name; podman sends a name alone (selection.md §1). */
function podReference(args: string): PodReference | undefined {
  const namespace = cniArg(args, "K8S_POD_NAMESPACE");
  const name = cniArg(args, "K8S_POD_NAME");
  if (!namespace || !name) return undefined;
  return { namespace, name, uid: cniArg(args, "K8S_POD_UID") ?? "" };
}

/** The API server, opened with the first call: one connection, one run of a credential plugin. */
export type OpenKube = () => Promise<Kube>;

export function openOnce(
  { dependencies, config, callsLog }: Context,
  deadline: Deadline,
): OpenKube {
  let kube: Promise<Kube> | undefined;
  const tried = callsLog && ((one: Try) => callsLog.requested(one));
  return () => (kube ??= dependencies.kube(config, deadline, tried));
}

/** The networks that pods can choose on this node, of `confDir` or another directory. Throws 5. */
export function readNetworks(
  { config }: Context,
  directory = config.confDir,
): Networks {
  return lazyNetworks(
    directory,
    listConfDir(directory),
    (file) => readConfFile(directory, file),
    ownTypes(config),
  );
}

/** The same error with the pod, if known, and the network in front (style.md 8). */
export function prefixNetwork(
  error: unknown,
  pod: PodReference | undefined,
  network: string,
): CniError {
  const name = plain(network);
  return CniError.from(error).prefixed(
    pod ? `[${pod.namespace}/${pod.name}:${name}]` : `[${name}]`,
  );
}

/** Whether a delegate of this container executes genie again: a loop (selection.md §4). */
export function isNested({ request, dependencies }: Context): boolean {
  return (
    dependencies.env[containerVariable] === (request.containerId || noContainer)
  );
}

/** Throws 7. */
export function refuseNested(context: Context): void {
  if (!isNested(context)) return;
  throw invalidConfig(
    `refusing to execute genie as a delegate of genie for container ${context.request.containerId}`,
  );
}
