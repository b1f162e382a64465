/**
 * The parameters with which a call executes plugins: directories, inherited descriptors,
 * observers, and the arguments of an attachment.
 */
import type { Caller, RuntimeConf } from "../cni/invoke.ts";
import type { Attachment } from "../select/attachment.ts";
import { containerVariable } from "../state/lock.ts";
import type { AttachmentRecord } from "../state/record.ts";
import { type Context, loadLog } from "./context.ts";

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
    warn: (message, call) =>
      context.log().warn(message, loadLog().fieldsOfCall(call)),
    sleep: dependencies.sleep,
    containerVariable,
    self: dependencies.self(),
  };
}

function observer(context: Context): Caller["executed"] {
  const { callsLog, config } = context;
  // Without `logFile` the log is our stderr, where the plugins' own stderr goes anyway.
  const executed =
    context.executed ??
    (config.logFile === undefined ? undefined : keepingStderr(context));
  if (!callsLog || !executed) return executed ?? callsLog?.executed;
  return (execution) => {
    callsLog.executed(execution);
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
