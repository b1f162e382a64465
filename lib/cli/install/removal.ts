/**
 * Removes genie from a node. A runtime deletes a pod with the configuration that is on
 * disk then, so a pod with other networks than the next one would keep them for ever.
 * Configuration first, executable last.
 */
import { type Directories, nodeContext, ownFile, ownType } from "../node.ts";
import type { Host } from "../host.ts";
import { whyUnseen } from "../mount-namespace.ts";
import {
  existsSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
} from "node:fs";
import { join } from "node:path";
import type { Context } from "../../attach/context.ts";
import { recordDirectory } from "../../attach/record-directory.ts";
import {
  type AttachmentRecord,
  executedIn,
  formatVersion,
} from "../../attach/record.ts";
import { definitionsDirectory } from "../../attach/cached-definition.ts";
import { statusSynced } from "../../attach/synced.ts";
import { type ConfFile, readConfDir } from "../../cni/confdir.ts";
import { tlsSessionFile } from "../../kube/tls-session.ts";
import { errnoOf, messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import { executesAny } from "../../cni/executable-types.ts";
import {
  type Candidate,
  firstNetwork,
  networksOf,
} from "../../select/node-networks.ts";
import { displayName } from "../../select/attachment.ts";
import { abandonedOnNode } from "../abandoned.ts";
import { credentialFiles } from "./credential.ts";
import { collect } from "../gc.ts";
import { credentialDirectory } from "./installation.ts";
import { type Sandbox, sandboxOf } from "../list.ts";
import { removeCopies } from "./own-file.ts";
import { removeFile } from "../replace-file.ts";
import { runtimesOf } from "./runtime.ts";
import type { Env } from "../terminal.ts";

export interface RemovalRequest {
  directories: Directories;
  host: Host;
  force: boolean;
  env: Env;
}

/** Returns the changes. Throws `Refusal` if nothing has changed. */
export async function removeGenie(request: RemovalRequest): Promise<string[]> {
  const { directories, host, force, env } = request;
  const context = nodeContext(directories, env, { host });
  const { confDir, binDir } = directories;
  const files = readConfDir(host.path(confDir));
  const former = formerNetwork(confDir, files);
  refuseOthers(files, confDir);
  if (!force) await refuseHeld(context, former, host);
  const done: string[] = [];
  const path = host.path(join(confDir, ownFile));
  const isConfigured = existsSync(path);
  const parked = park(path);
  // Pods that were attached between the check and the removal.
  if (!force)
    await orPutBack(parked, path, () => refuseHeld(context, former, host));
  removeFile(parked);
  removeCopies(directories, host, context.config.dataDir);
  if (isConfigured)
    done.push(`removed ${join(confDir, ownFile)}${othersOf(files)}`);
  done.push(...removeCredential(credentialDirectory(directories), host));
  if (force && host.isOurs) done.push(...(await deleteGone(context, binDir)));
  const keeps = keepsRecords(host);
  if (!keeps) done.push(...(await dropFreed(context, former)));
  done.push(...(await keptAbandoned(context)));
  let count = 0;
  for await (const _ of recordDirectory(context).all()) count++;
  if (count > 0) {
    done.push(
      `kept ${join(binDir, ownType)}: ${count} attachments are recorded; \`genie gc\` deletes those whose pods are gone, \`genie uninstall\` then removes it`,
    );
    return done;
  }
  const executable = join(binDir, ownType);
  if (existsSync(host.path(executable))) {
    rmSync(host.path(executable));
    done.push(`removed ${executable}`);
  }
  removeEmpty(context.config.dataDir);
  return done.length > 0
    ? done
    : [`genie is not installed in ${confDir} and ${binDir}`];
}

/** No reason to refuse: its DEL has failed for long. The report says that it is not retried any more. */
async function keptAbandoned(context: Context): Promise<string[]> {
  const { attachments, unreadable } = await abandonedOnNode(context);
  const what = [
    ...attachments.map(
      ({ containerId, ifname, network }) =>
        `${ifname} of ${containerId} in network ${network}`,
    ),
    ...unreadable,
  ];
  if (what.length === 0) return [];
  return [
    `kept ${context.config.dataDir}/abandoned, which could not be deleted and stays reserved: ${what.join("; ")}`,
  ];
}

/** Other plugins in our list (a mesh's, for instance) go with it; the report names them. */
function othersOf(files: readonly ConfFile[]): string {
  const list = files.find(({ file }) => file === ownFile)?.list;
  const types = (list?.plugins ?? [])
    .map(({ type }) => type)
    .filter((type) => type !== ownType);
  return types.length === 0
    ? ""
    : `, and with it the plugins of others: ${types.join(", ")}`;
}

/** The reasons of a refusal, one per line. */
export class Refusal extends Error {}

/** The network that the runtime uses after the removal. */
function formerNetwork(
  confDir: string,
  files: readonly ConfFile[],
): Candidate | undefined {
  try {
    const others = files.filter(({ file }) => file !== ownFile);
    return firstNetwork(networksOf(confDir, others, [ownType]));
  } catch {
    return undefined;
  }
}

/** A file of another origin that needs our executable. */
function refuseOthers(files: readonly ConfFile[], confDir: string): void {
  const other = files.find(
    ({ file, list }) =>
      file !== ownFile && list && executesAny(list.plugins, [ownType]),
  );
  if (other === undefined) return;
  throw new Refusal(
    `${join(confDir, other.file)} executes genie as well: remove it first`,
  );
}

async function refuseHeld(
  { config, dependencies }: Context,
  former: Candidate | undefined,
  host: Host,
): Promise<void> {
  const bootId = dependencies.bootId();
  const lines: string[] = [];
  for await (const { name, record, error } of recordDirectory({
    config,
  }).all()) {
    if (!record) lines.push(`  record ${quote(name)}: ${messageOf(error)}`);
    else if (!isFreedBy(record, former))
      lines.push(heldText(record, sandboxOf(record, bootId, host)));
  }
  if (lines.length === 0) return;
  const why = former
    ? `network ${quote(former.list.name)} (${former.file}), which the runtime will use next, cannot delete all attachments of these pods`
    : "no other network can delete the attachments of these pods";
  throw new Refusal(
    [`${why}: delete the pods first, or use --force`, ...lines].join("\n"),
  );
}

/** Whether that network's own DEL frees everything in the record. */
function isFreedBy(
  record: AttachmentRecord,
  former: Candidate | undefined,
): boolean {
  const [only, ...more] = executedIn(record);
  const { ifname } = record;
  return (
    only !== undefined &&
    more.length === 0 &&
    only.ifname === ifname &&
    only.definition === undefined &&
    only.list.name === former?.list.name
  );
}

function heldText(record: AttachmentRecord, sandbox: Sandbox): string {
  const { pod, containerId } = record;
  const who = pod ? `${pod.namespace}/${pod.name}` : `container ${containerId}`;
  const networks = executedIn(record).map(
    (attachment) => `${attachment.ifname}=${displayName(attachment)}`,
  );
  // Genie 0.1.0 cannot delete it after a roll back.
  const format =
    record.formatVersion > formatVersion
      ? ` (record of format ${record.formatVersion}, which genie 0.1.0 does not read)`
      : "";
  return `  ${who}: ${networks.join(", ")}${hints[sandbox]}${format}`;
}

/** "unknown": in a container, living pods have no visible namespace either. */
const hints: Record<Sandbox, string> = {
  live: "",
  unknown: "",
  gone: " (its namespace is gone: `genie gc`)",
  "earlier boot": " (of an earlier boot: `genie gc`)",
};

/** Invisible to the runtime, still in its directory. */
function park(path: string): string {
  const parked = path.replace(/[^/]+$/, (name) => `.${name}.removed`);
  try {
    renameSync(path, parked);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
  return parked;
}

async function orPutBack(
  parked: string,
  path: string,
  check: () => Promise<void>,
): Promise<void> {
  try {
    await check();
  } catch (error) {
    if (existsSync(parked)) renameSync(parked, path);
    throw error;
  }
}

function removeCredential(directory: string, host: Host): string[] {
  const place = host.path(directory);
  if (!existsSync(place)) return [];
  for (const file of credentialFiles) removeFile(join(place, file));
  removeDirectory(place);
  return [`removed the credential in ${directory}`];
}

/** Deletes records whose namespace is gone, as `genie gc` does. */
async function deleteGone(context: Context, binDir: string): Promise<string[]> {
  const why = await whyUnseen(context, `${binDir}/${ownType} gc`);
  if (why !== undefined) return [`deleted no attachment: ${why}`];
  const { deleted, abandoned, failed } = await collect(context, 0);
  return [
    ...deleted.map(
      ({ containerId, ifname }) => `deleted ${containerId} ${ifname}`,
    ),
    ...abandoned.map(
      ({ containerId, ifname }) => `abandoned ${containerId} ${ifname}`,
    ),
    ...failed.map(({ what, error }) => `failed to delete ${what}: ${error}`),
  ];
}

/**
 * CRI-O deletes a pod with the configuration that it cached at ADD
 * (container-runtimes.md §3.6), which is ours: records and executable must outlive
 * the pods.
 */
function keepsRecords(host: Host): boolean {
  return runtimesOf(host).includes("crio");
}

/** Drops records of the former network alone: its own DEL frees their addresses. */
async function dropFreed(
  context: Context,
  former: Candidate | undefined,
): Promise<string[]> {
  const records = recordDirectory(context);
  let dropped = 0;
  for await (const { record } of records.all()) {
    if (!record || !isFreedBy(record, former)) continue;
    records.remove(record);
    dropped++;
  }
  if (dropped === 0) return [];
  return [
    `dropped ${dropped} records of network ${quote(former?.list.name ?? "")}: its own DEL frees them`,
  ];
}

/** What the agent and the plugin keep beside the records. */
const ownFiles = [
  "calls.log",
  "calls.log.1",
  "calls.json",
  "load.json",
  statusSynced,
  definitionsDirectory,
  tlsSessionFile,
];

function removeEmpty(dataDir: string): void {
  for (const file of ownFiles) removeFile(join(dataDir, file));
  for (const directory of ["attachments", "abandoned", "locks", "."])
    removeDirectory(join(dataDir, directory));
}

function removeDirectory(path: string): void {
  try {
    if (readdirSync(path).length === 0) rmdirSync(path);
  } catch (error) {
    const errno = errnoOf(error);
    // EBUSY: mounted into our container.
    if (errno !== "ENOENT" && errno !== "ENOTEMPTY" && errno !== "EBUSY")
      throw error;
  }
}
