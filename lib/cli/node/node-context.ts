/**
 * The context of a command: what the plugin gets from the runtime, made from genie's
 * configuration in the directory of networks.
 */
import { type Context, createContext } from "../../attach/context.ts";
import {
  type Dependencies,
  systemDependencies,
} from "../../attach/dependencies.ts";
import { type ConfFile, readConfDir } from "../../cni/confdir.ts";
import type { NetworkConfigList, PluginConf } from "../../cni/conflist.ts";
import { invalidConfig } from "../../cni/error.ts";
import { own, ownText } from "../../cni/json.ts";
import type { Request } from "../../cni/plugin-request.ts";
import { latestVersion } from "../../cni/version.ts";
import type { Input } from "../command/input.ts";
import type { Env } from "../../cni/environment.ts";
import {
  type Directories,
  defaultDirectories,
  ownFile,
  ownType,
  directoriesOf,
} from "./directories.ts";

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

interface ContextOptions {
  dependencies?: Dependencies;
  request?: Partial<Request>;
  /** The caller uses other keys than the directory of records: they must be readable. */
  needsKeys?: boolean;
  /** The `runtimeConfig` that a runtime sends to a configuration with these capabilities. */
  runtimeConfig?: (capabilities: unknown) => Readonly<Record<string, unknown>>;
}

/** The context for the directories that the options name. */
export function contextOf(
  input: Input,
  env: Env,
  request: Partial<Request> = {},
): Context {
  return nodeContext(directoriesOf(input), env, { request });
}

/**
 * A context without a container. Uses the defaults if there is no configuration.
 * Throws 7 for an unreadable one: the records could be anywhere.
 */
export function nodeContext(
  directories: Directories,
  env: Env,
  {
    dependencies = systemDependencies(env),
    request = {},
    needsKeys = request.command === "ADD",
    runtimeConfig,
  }: ContextOptions = {},
): Context {
  const { host, confDir, binDir, dataDir } = directories;
  const files = readConfDir(host.path(confDir));
  const found = findOwn(files);
  if (!found) requireReadable(files, directories, needsKeys);
  const made: Request = {
    command: "GC",
    containerId: "",
    netns: "",
    ifname: "",
    args: "",
    path: [host.path(binDir)],
    config: {
      ...found?.plugin,
      ...(runtimeConfig && {
        runtimeConfig: runtimeConfig(own(found?.plugin, "capabilities")),
      }),
      name: found?.list.name ?? ownType,
      confDir: host.path(ownText(found?.plugin, "confDir") ?? confDir),
      dataDir: host.path(
        dataDir ??
          ownText(found?.plugin, "dataDir") ??
          defaultDirectories.dataDir,
      ),
      // The path is the node's: the operator gets the messages instead.
      ...(!host.isOwnRoot && { logFile: "" }),
    },
    cniVersion: latestVersion,
    ...request,
  };
  return createContext(made, dependencies);
}

/** A command that lists or deletes needs the directory of records only. */
function requireReadable(
  files: readonly ConfFile[],
  { confDir, dataDir }: Directories,
  needsKeys: boolean,
): void {
  const problem = files.find(({ file }) => file === ownFile)?.problem;
  if (problem === undefined || (!needsKeys && dataDir !== undefined)) return;
  const advice =
    needsKeys || problem.endsWith("permission denied")
      ? ""
      : ": correct it, or say with --data-dir where the records are";
  throw invalidConfig(`${confDir}/${ownFile}: ${problem}${advice}`);
}
