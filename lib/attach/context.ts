/**
 * The context of a call: the request, our configuration, the node's networks,
 * records and log, and the dependencies. It owns the time limits of the phases
 * (state.md "Time").
 */
import { cniArg } from "../cni/args.ts";
import { listConfDir, readConfFile } from "../cni/confdir.ts";
import { Code, CniError } from "../cni/error.ts";
import {
  type Caller,
  type Execution,
  type RuntimeConf,
  noContainer,
} from "../cni/invoke.ts";
import type { Request } from "../cni/skel.ts";
import type { Kube, Try } from "../kube/client.ts";
import { type Clock, Deadline, monotonicMs } from "../linux/deadline.ts";
import { type Exec, execDelegate } from "../linux/exec.ts";
import { readFile, statusIfAny } from "../linux/files.ts";
import { uptimeMs } from "../linux/libc.ts";
import { writeStderr } from "../linux/stdio.ts";
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
import type * as logModule from "../state/log.ts";
import type { AttachmentRecord, PodReference } from "../state/record.ts";
import { Records } from "../state/records.ts";
import type { OpenDevices } from "./choice/allotted-devices.ts";

/** The API server, opened with the first call: one connection, one run of a credential plugin. */
export type Api = () => Promise<Kube>;

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
  calls?: {
    executed(execution: Execution): void;
    requested(request: Try): void;
  };
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
): Context {
  const warnings: string[] = [];
  const config = configOf(request, warnings);
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
    records: new Records(config.dataDir),
    pod: podReference(request.args),
    path: [...request.path, ...config.binDirs],
  };
  for (const warning of warnings) context.log().warn(warning);
  return context;
}

/** Most calls log nothing. */
function loadLog(): typeof logModule {
  // oxlint-disable-next-line no-unsafe-return -- a require() has no types, the import above has
  return require("../state/log.ts");
}

function configOf(
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

/** What a line says of a call. */
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

/** The directories of plugins, first those of the call, then those of the ADD that wrote the record. */
export function searchPath(
  { path }: Pick<Context, "path">,
  record: Pick<AttachmentRecord, "path">,
): string[] {
  const directories = [...path];
  // No `Set`: making one takes a pod as long as six functions (docs/performance.md).
  for (const directory of record.path)
    if (!directories.includes(directory)) directories.push(directory);
  return directories;
}

/** How the delegates of this call are executed; they inherit `lock`. */
export function delegateCaller(
  context: Context,
  lock?: { fd: number },
  started?: () => unknown,
): Caller {
  const { config, dependencies } = context;
  return {
    exec: dependencies.exec,
    env: dependencies.env,
    inherit: lock ? [lock.fd] : [],
    scratch: config.dataDir,
    timeoutMs: config.delegateTimeoutMs,
    stderr: dependencies.stderr,
    started,
    executed: observer(context),
    sleep: dependencies.sleep,
    containerVariable,
    self: dependencies.self(),
  };
}

function observer(context: Context): Caller["executed"] {
  const { calls, config } = context;
  // Without `logFile` the log is our stderr, where the plugins' own stderr goes anyway.
  const executed =
    context.executed ??
    (config.logFile === undefined ? undefined : keepingStderr(context));
  if (!calls || !executed) return executed ?? calls?.executed;
  return (execution) => {
    calls.executed(execution);
    executed(execution);
  };
}

function keepingStderr(context: Context): Caller["executed"] {
  return (execution) => {
    if (execution.stderr !== "") loadLog().logStderr(context.log(), execution);
  };
}

/** The arguments of an attachment of the request's container. */
export function runtimeConf(
  { request, path }: Context,
  attachment: Attachment,
): RuntimeConf {
  const { ifname, args, capabilityArgs } = attachment;
  return {
    containerId: request.containerId,
    netns: request.netns,
    ifname,
    args,
    capabilityArgs,
    path,
  };
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

/** Whether a delegate of this container calls genie for it: a circle (selection.md §4). */
export function isNested({ request, dependencies }: Context): boolean {
  return (
    dependencies.env[containerVariable] === (request.containerId || noContainer)
  );
}

/** Throws 7. */
export function refuseNested(context: Context): void {
  if (!isNested(context)) return;
  throw new CniError(
    Code.invalidNetworkConfig,
    `refusing to execute genie as a delegate of genie for container ${context.request.containerId}`,
  );
}

/** The effects of a call as parameters, for tests; {@link systemDependencies} are the real ones. */
export interface Dependencies {
  exec: Exec;
  env: Readonly<Record<string, string | undefined>>;
  stderr(text: string): void;
  clock: Clock;
  now(): Date;
  sleep(ms: number): Promise<void>;
  /**
   * The API server. Throws 7 for an unreadable kubeconfig. `tried` is called after
   * each request.
   */
  kube(
    config: GenieConfig,
    deadline: Deadline,
    tried?: (request: Try) => void,
  ): Promise<Kube>;
  /** Throws 7 for a kubeconfig that cannot be used; sends no request. */
  checkKube(config: GenieConfig): Promise<void>;
  /** The pod's devices, from the kubelet. Throws 11. */
  devices: OpenDevices;
  bootId(): string;
  /** Milliseconds since that boot. */
  uptimeMs(): number;
  /** `"device:inode"` of our executable. */
  self(): string | undefined;
}

export function systemDependencies(env: Dependencies["env"]): Dependencies {
  let self: string | undefined;
  let bootId: string | undefined;
  return {
    exec: execDelegate,
    env,
    stderr: writeStderr,
    clock: monotonicMs,
    now: () => new Date(),
    sleep: Bun.sleep,
    async kube(config, deadline, tried) {
      const { createKube, tlsSessionFile } = await import("../kube/client.ts");
      return createKube(config.kube, {
        deadline,
        apiTimeout: config.apiTimeoutMs,
        env,
        tried,
        sessionFile: `${config.dataDir}/${tlsSessionFile}`,
      });
    },
    async checkKube(config) {
      const { checkAccess } = await import("../kube/client.ts");
      await checkAccess(config.kube, { env });
    },
    async devices(...query) {
      const { openDevices } = await import("./choice/allotted-devices.ts");
      return openDevices(...query);
    },
    bootId() {
      return (bootId ??= readFile("/proc/sys/kernel/random/boot_id").trim());
    },
    uptimeMs,
    self() {
      return (self ??= statusIfAny("/proc/self/exe")?.id);
    },
  };
}
