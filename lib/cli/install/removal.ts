/**
 * Removes genie from a node. A runtime deletes a pod with the configuration that is on
 * disk then, so a pod with other networks than the next one would keep them for ever.
 * Configuration first, executable last.
 */
import {
  existsSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
} from "node:fs";
import { join } from "node:path";
import type { Context } from "../../attach/context.ts";
import { type ConfFile, readConfDir } from "../../cni/confdir.ts";
import { tlsSessionFile } from "../../kube/tls-session.ts";
import { errnoOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import type { Candidate } from "../../select/node-networks.ts";
import { definitionsDirectory } from "../../state/cached-definition.ts";
import { recordDirectory } from "../../state/record-directory.ts";
import { statusSynced } from "../../state/synced.ts";
import { abandonedOnNode } from "../records/abandoned.ts";
import { collect } from "../records/collect.ts";
import type { Host } from "../node/host.ts";
import { whyUnseen } from "../records/sandbox.ts";
import { type Directories, ownFile, ownType } from "../node/directories.ts";
import { nodeContext } from "../node/node-context.ts";
import { removeFile, removeLeftOver } from "../node/replace-file.ts";
import type { Env } from "../command/terminal.ts";
import { credentialFiles } from "./credential.ts";
import { credentialDirectory } from "./installation.ts";
import { removeCopies } from "./own-file.ts";
import {
  formerNetwork,
  isFreedBy,
  refuseHeld,
  refuseOthers,
} from "./removal-refusal.ts";
import { runtimesOf } from "./runtime.ts";

export interface RemovalRequest {
  directories: Directories;
  host: Host;
  force: boolean;
  env: Env;
}

/** Returns the changes. Throws Error, and nothing has changed, while genie is needed. */
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
  removeLeftOver(path, 0);
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
  const place = host.path(executable);
  removeLeftOver(place, 0);
  if (existsSync(place)) {
    rmSync(place);
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
  for (const file of credentialFiles) {
    removeFile(join(place, file));
    removeLeftOver(join(place, file), 0);
  }
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
  for (const file of ownFiles) {
    removeFile(join(dataDir, file));
    // Of a process that was killed before it renamed its file.
    removeFile(join(dataDir, `.${file}.new`));
  }
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
