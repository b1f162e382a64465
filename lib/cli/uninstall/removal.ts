/**
 * Removes genie from a node. A runtime deletes a pod with the configuration that is on
 * disk then, so a pod with other networks than the next one would keep them for ever.
 * Configuration first, executable last.
 */
import { existsSync, readdirSync, renameSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { Context } from "../../attach/context.ts";
import { type ConfFile, readConfDir } from "../../cni/confdir.ts";
import type { Env } from "../../cni/environment.ts";
import { tlsSessionFile } from "../../http/tls-session.ts";
import { errnoOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import type { Candidate } from "../../select/node-networks.ts";
import { definitionsDirectory } from "../../state/cached-definition.ts";
import { recordDirectory } from "../../state/record-directory.ts";
import { statusSynced } from "../../state/synced.ts";
import { counted } from "../command/table.ts";
import { credentialDirectory, credentialFiles } from "../install/credential.ts";
import { requireNoKeeper } from "../install/installer-lock.ts";
import { ListCopy } from "../install/own-file.ts";
import { type Directories, ownFile, ownType } from "../node/directories.ts";
import { nodeContext } from "../node/node-context.ts";
import { removePath, removeWritten } from "../node/replace-file.ts";
import { runtimesOf } from "../node/runtimes.ts";
import { abandonedOnNode } from "../records/abandoned.ts";
import { collectGone, collectionLines } from "../records/collection.ts";
import { whyUnseen } from "../records/sandbox.ts";
import {
  isFreedBy,
  nextNetwork,
  refuseHeld,
  refuseOthers,
} from "./removal-refusal.ts";

export interface RemovalRequest {
  directories: Directories;
  force: boolean;
  env: Env;
}

/** Returns the changes. Throws Error, and nothing has changed, while genie is needed. */
export async function removeGenie(request: RemovalRequest): Promise<string[]> {
  const { directories, force, env } = request;
  const { host, confDir, binDir } = directories;
  const context = nodeContext(directories, env);
  const { dataDir } = context.config;
  const files = readConfDir(host.path(confDir));
  const next = nextNetwork(confDir, files);
  refuseOthers(files, confDir);
  requireNoKeeper(directories);
  const requireFree = async () => {
    if (!force) await refuseHeld(context, next, host);
  };
  await requireFree();
  const path = join(confDir, ownFile);
  const isConfigured = await removeUnless(requireFree, host.path(path));
  new ListCopy(directories).remove(dataDir);
  const done = [
    ...(isConfigured ? [`removed ${path}${othersOf(files)}`] : []),
    ...removeCredential(directories),
    ...(force && host.isOwnRoot ? await deleteGone(context, binDir) : []),
    // CRI-O deletes a pod with the configuration that it cached at ADD
    // (container-runtimes.md §3.6), which is ours: records and executable must outlive
    // the pods.
    ...(runtimesOf(host).includes("crio")
      ? []
      : await dropFreed(context, next)),
    ...(await keptAbandoned(context)),
  ];
  const executable = join(binDir, ownType);
  const { length } = await Array.fromAsync(recordDirectory(context).all());
  if (length > 0)
    return [
      ...done,
      `kept ${executable} for ${counted(length, "attachment")}: \`genie gc\` deletes those whose pods are gone, \`genie uninstall\` then removes it`,
    ];
  if (removeWritten(host.path(executable))) done.push(`removed ${executable}`);
  removeEmpty(dataDir);
  return done.length > 0
    ? done
    : [`genie is not installed in ${confDir} and ${binDir}`];
}

/**
 * Removes our configuration; returns whether it existed. The file is hidden from the runtime
 * while `check` looks for pods that were attached meanwhile, and restored if `check` throws.
 */
async function removeUnless(
  check: () => Promise<void>,
  path: string,
): Promise<boolean> {
  const hidden = path.replace(/[^/]+$/, (name) => `.${name}.removed`);
  const isThere = existsSync(path);
  if (isThere) renameSync(path, hidden);
  try {
    await check();
  } catch (error) {
    if (existsSync(hidden)) renameSync(hidden, path);
    throw error;
  }
  removePath(hidden);
  removeWritten(path);
  return isThere;
}

/** Abandoned attachments do not prevent the removal. The report names them, because nothing retries them any more. */
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

function removeCredential(directories: Directories): string[] {
  const directory = credentialDirectory(directories);
  const place = directories.host.path(directory);
  if (!existsSync(place)) return [];
  for (const file of credentialFiles) removeWritten(join(place, file));
  removeDirectory(place);
  return [`removed the credential in ${directory}`];
}

/** Deletes records whose namespace is gone, as `genie gc` does. */
async function deleteGone(context: Context, binDir: string): Promise<string[]> {
  const why = await whyUnseen(context, `${binDir}/${ownType} gc`);
  if (why !== undefined) return [`deleted no attachment: ${why}`];
  return collectionLines(await collectGone(context, 0));
}

/** Drops records whose only network is the next one: its own DEL frees their addresses. */
async function dropFreed(
  context: Context,
  next: Candidate | undefined,
): Promise<string[]> {
  const records = recordDirectory(context);
  let dropped = 0;
  for await (const { record } of records.all()) {
    if (!record || !isFreedBy(record, next)) continue;
    records.remove(record);
    dropped++;
  }
  return dropped === 0
    ? []
    : [
        `dropped ${counted(dropped, "record")} of network ${quote(next?.list.name ?? "")}: its own DEL frees the addresses`,
      ];
}

/** Files of the agent and the plugin beside the records. */
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
    removePath(join(dataDir, file));
    // A process was killed before it renamed its file.
    removePath(join(dataDir, `.${file}.new`));
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
