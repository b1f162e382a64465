/**
 * The plan of an installation. Everything is checked here, before anything changes
 * (container-runtimes.md K-1).
 */
import { statSync } from "node:fs";
import { readConfDir } from "../../cni/confdir.ts";
import { CniError, invalidConfig } from "../../cni/error.ts";
import { own, ownText, parseJson } from "../../cni/json.ts";
import { messageOf } from "../../linux/errno.ts";
import { type GenieConfig, readConfig } from "../../select/config.ts";
import type { Env } from "../../cni/environment.ts";
import { type Directories, defaultDirectories } from "../node/directories.ts";
import { executableMemoryProblems } from "../node/executable-memory.ts";
import type { Host } from "../node/host.ts";
import { nodeNameOf } from "../node/node-name.ts";
import {
  binDirProblem,
  confDirProblem,
  runtimeSettings,
} from "../node/runtime-settings.ts";
import { runtimesOf } from "../node/runtimes.ts";
import type { Credential, CredentialRequest } from "./credential-options.ts";
import { chooseCredential, requireUsableCredential } from "./credential.ts";
import {
  type DefaultNetwork,
  chooseDefault,
  firstOfCluster,
  configuredConfDir,
  networksIn,
  refuseEarlier,
  refuseHazards,
  requireDefaultPlugins,
} from "./default-network.ts";
import type { Base, OwnFile } from "./own-file.ts";
import { ownListText, ownPlugin } from "./own-list.ts";
import { type Settings, withSettings } from "./settings.ts";

export interface InstallRequest {
  directories: Directories;
  credential: CredentialRequest;
  /** Keys of the configuration to set, read for each run. Throws Error. */
  settings: () => Settings;
  /** The default network, in place of the configured or first one. */
  defaultPlugin: string | undefined;
  /** Overwrites unreadable files and keeps a copy of each. */
  force: boolean;
}

export interface Plan {
  base: Base;
  network: DefaultNetwork;
  credential: Credential;
  /** The text of our file. Throws 7 for a list that no runtime would load. */
  listText(kubeconfig: string | undefined): string;
}

/** Throws CniError if a check fails. */
export async function planInstallation(
  request: InstallRequest,
  file: OwnFile,
  env: Env,
): Promise<Plan> {
  const { directories, force, settings } = request;
  const { host, confDir, dataDir } = directories;
  requireMemory(host);
  const read = file.read(force);
  const base = { ...read, list: withSettings(read.list, settings()) };
  const keys = base.restoredFrom ?? file.path;
  const plugin = ownPlugin(base.list?.value);
  const isInstalled = read.list !== undefined;
  const network = withDirectories(request, () =>
    chooseNetwork(request, plugin, keys, isInstalled),
  );
  const credential = credentialOf(request, base, env);
  await requireUsableCredential(credential, host, env);
  const isKnown =
    confDir === defaultDirectories.confDir ||
    configuredConfDir(plugin) !== undefined;
  const listText = (kubeconfig: string | undefined): string => {
    try {
      return ownListText(base.list, {
        name: network.name,
        defaultPlugin: network.plugin,
        kubeconfig,
        nodeName: nodeNameOf(kubeconfig, host, env),
        confDir: isKnown ? undefined : confDir,
        dataDir: dataDir === defaultDirectories.dataDir ? undefined : dataDir,
      });
    } catch (cause) {
      throw invalidConfig(`${file.path}: ${messageOf(cause)}`, cause);
    }
  };
  readOwnConfig(ownPlugin(parseJson(listText(""))), keys);
  return { base, network, credential, listText };
}

/**
 * Runs `choose`; its error says where the runtimes of this node look, if that is
 * elsewhere: k3s and others have directories of their own.
 */
function withDirectories<T>(
  { directories }: InstallRequest,
  choose: () => T,
): T {
  try {
    return choose();
  } catch (cause) {
    const elsewhere = runtimeSettings(directories.host).flatMap((settings) => [
      confDirProblem(settings, directories),
      binDirProblem(settings, directories),
    ]);
    const { code, details } = CniError.from(cause);
    const texts = elsewhere.flatMap((problem) =>
      problem ? [`${problem.found}: ${problem.advice}`] : [],
    );
    const message = [messageOf(cause), ...texts].join("; ");
    throw new CniError(code, message, { details, cause });
  }
}

/** A copy of genie is executed here: the runtime's unit may forbid more. Throws 7. */
function requireMemory(host: Host): void {
  const [problem] = executableMemoryProblems(host);
  if (!problem) return;
  throw invalidConfig(
    `${problem.found}: genie could not run, and every pod would fail: ${problem.advice}`,
  );
}

/** Reads genie's plugin object. Throws 7 that names the file of its keys. */
function readOwnConfig(plugin: object, file: string): GenieConfig {
  try {
    return readConfig(plugin);
  } catch (cause) {
    throw invalidConfig(`${file}: ${messageOf(cause)}`, cause);
  }
}

/** `plugin` is genie's plugin object, with the keys of `file`. */
function chooseNetwork(
  { directories: { host, confDir, binDir }, defaultPlugin }: InstallRequest,
  plugin: object,
  file: string,
  isInstalled: boolean,
): DefaultNetwork {
  const place = host.path(confDir);
  // For the plugin, it would be an empty directory.
  if (statSync(place, { throwIfNoEntry: false })?.isDirectory() === false)
    throw invalidConfig(`${confDir} is not a directory`);
  const files = readConfDir(place);
  refuseEarlier(
    files.map((one) => one.file),
    confDir,
  );
  const networks = networksIn(plugin, { confDir, files }, host);
  const chosen = chooseDefault(
    defaultPlugin ?? ownText(plugin, "default_plugin") ?? "",
    networks,
    firstOfCluster,
  );
  const path = [binDir, ...readOwnConfig(plugin, file).binDirs];
  requireDefaultPlugins(
    chosen.plugin,
    networks,
    path.map((directory) => host.path(directory)),
  );
  if (runtimesOf(host).includes("crio"))
    refuseHazards(networks, chosen, isInstalled, host);
  return chosen;
}

/** The credential to use, with the present configuration. */
export function credentialOf(
  { directories, credential }: InstallRequest,
  base: Base,
  env: Env,
): Credential {
  const existing = configuredKubeconfig(base);
  return chooseCredential(credential, existing, directories, env);
}

export function configuredKubeconfig({ list }: Base): string | undefined {
  const access = own(ownPlugin(list?.value), "kubernetes");
  return ownText(access, "kubeconfig");
}
