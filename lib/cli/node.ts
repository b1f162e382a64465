/**
 * This node's genie for a command: the configuration that the runtime would pass,
 * found in the directory.
 */
import {
  createContext,
  type Context,
  type Dependencies,
  systemDependencies,
} from "../attach/context.ts";
import { type ConfFile, readConfDir } from "../cni/confdir.ts";
import type { NetworkConfigList, PluginConf } from "../cni/conflist.ts";
import { Code, CniError } from "../cni/error.ts";
import { own } from "../cni/json.ts";
import type { Request } from "../cni/skel.ts";
import { latestVersion } from "../cni/version.ts";
import { defaultDirectories, type Directories } from "./directories.ts";
import { Host } from "./host.ts";
import type { Env } from "./terminal.ts";

/** Genie's plugin type and executable name. */
export const ownType = "genie";

/**
 * Genie's configuration. It sorts first, because a runtime uses the first file
 * (container-runtimes.md K-1).
 */
export const ownFile = "00-genie.conflist";

export interface OwnNetwork {
  file: string;
  list: NetworkConfigList;
  plugin: PluginConf;
}

/** The first file that executes genie. */
export function findOwn(files: readonly ConfFile[]): OwnNetwork | undefined {
  for (const { file, list } of files) {
    const plugin = list?.plugins.find(({ type }) => type === ownType);
    if (list && plugin) return { file, list, plugin };
  }
  return undefined;
}

/** Parts of the request that a command may set. */
export interface Made {
  host?: Host;
  dependencies?: Dependencies;
  request?: Partial<Request>;
  /** Additional keys of the configuration. */
  config?: Readonly<Record<string, unknown>>;
}

/**
 * A context without a container. Uses the defaults if there is no configuration.
 * Throws 7 for an unreadable one: the records could be anywhere.
 */
export function nodeOperation(
  { confDir, binDir, dataDir }: Directories,
  env: Env,
  {
    host = new Host(),
    dependencies = systemDependencies(env),
    request,
    config,
  }: Made = {},
): Context {
  const files = readConfDir(host.path(confDir));
  const found = findOwn(files);
  // A command that lists or deletes needs the directory of records only.
  if (!found && request?.command === "ADD") requireReadable(files, confDir, "");
  if (!found && dataDir === undefined)
    requireReadable(
      files,
      confDir,
      ": correct it, or say with --data-dir where the records are",
    );
  const text = (key: string): string | undefined => {
    const value = own(found?.plugin, key);
    return typeof value === "string" ? value : undefined;
  };
  const made: Request = {
    command: "GC",
    containerId: "",
    netns: "",
    ifname: "",
    args: "",
    path: [host.path(binDir)],
    config: {
      ...found?.plugin,
      ...config,
      name: found?.list.name ?? ownType,
      confDir: host.path(text("confDir") ?? confDir),
      dataDir: host.path(
        dataDir ?? text("dataDir") ?? defaultDirectories.dataDir,
      ),
      // The path is the node's: the operator gets the messages instead.
      ...(!host.isOurs && { logFile: "" }),
    },
    cniVersion: latestVersion,
    ...request,
  };
  return createContext(made, dependencies);
}

function requireReadable(
  files: readonly ConfFile[],
  confDir: string,
  advice: string,
): void {
  const problem = files.find(({ file }) => file === ownFile)?.problem;
  if (problem === undefined) return;
  throw new CniError(
    Code.invalidNetworkConfig,
    `${confDir}/${ownFile}: ${problem}${advice}`,
  );
}
