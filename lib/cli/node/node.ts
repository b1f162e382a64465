/**
 * This node's genie for a command: the configuration that the runtime would pass,
 * found in the directory; the directories as options; and the node's name in the API,
 * which devices and the agent need (configuration.md, `nodeName`).
 */
import {
  createContext,
  type Context,
  type Dependencies,
  systemDependencies,
} from "../../attach/context.ts";
import { type ConfFile, readConfDir } from "../../cni/confdir.ts";
import type { NetworkConfigList, PluginConf } from "../../cni/conflist.ts";
import { invalidConfig } from "../../cni/error.ts";
import { own } from "../../cni/json.ts";
import type { Request } from "../../cni/skel.ts";
import { latestVersion } from "../../cni/version.ts";
import { Host } from "./host.ts";
import type { Env } from "../command/terminal.ts";
import { type Input, type Options, UsageError } from "../command/command.ts";
import { quote } from "../../linux/text.ts";
import { statSync } from "node:fs";
import { X509Certificate } from "node:crypto";
import { readKubeconfig } from "../../kube/kubeconfig.ts";
import { readPem } from "../../kube/pem.ts";

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
export function nodeContext(
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
  throw invalidConfig(`${confDir}/${ownFile}: ${problem}${advice}`);
}

/** Paths of the node. */
export interface Directories {
  confDir: string;
  binDir: string;
  /** Overrides the configuration. */
  dataDir: string | undefined;
}

export const defaultDirectories = {
  confDir: "/etc/cni/net.d",
  binDir: "/opt/cni/bin",
  dataDir: "/var/lib/cni/genie",
} as const;

export const directoryOptions = {
  "conf-dir": {
    value: "DIR",
    path: "directory",
    about: `directory of network configurations (default ${defaultDirectories.confDir})`,
  },
  "bin-dir": {
    value: "DIR",
    path: "directory",
    about: `directory of CNI plugins (default ${defaultDirectories.binDir})`,
  },
  "data-dir": {
    value: "DIR",
    path: "directory",
    about: `directory of attachment records (default as configured, else ${defaultDirectories.dataDir})`,
  },
} as const satisfies Options;

export const rootOption = {
  root: {
    value: "DIR",
    path: "directory",
    about: "where the node's file system is mounted (default /)",
  },
} as const satisfies Options;

export function directoriesOf(input: Input): Directories {
  return {
    confDir: input.path("conf-dir") ?? defaultDirectories.confDir,
    binDir: input.path("bin-dir") ?? defaultDirectories.binDir,
    dataDir: input.path("data-dir"),
  };
}

/** Throws UsageError for a root that is no directory: a node there would look empty. */
export function hostOf(input: Input): Host {
  const root = input.path("root");
  if (
    root !== undefined &&
    !statSync(root, { throwIfNoEntry: false })?.isDirectory()
  )
    throw new UsageError(`--root: no directory ${quote(root)}`);
  return new Host(root);
}

/**
 * From the DaemonSet's environment, else from a kubelet's certificate; undefined if
 * neither has it.
 */
export function nodeNameOf(
  kubeconfig: string | undefined,
  host: Host,
  env: Env,
): string | undefined {
  return env["NODE_NAME"] || certifiedName(kubeconfig, host);
}

/** The subject of a kubelet is `system:node:<name>` of the group `system:nodes`. */
function certifiedName(
  kubeconfig: string | undefined,
  host: Host,
): string | undefined {
  if (kubeconfig === undefined) return undefined;
  try {
    const { user } = readKubeconfig(host.path(kubeconfig));
    const { clientCertificate } = user;
    if (!clientCertificate) return undefined;
    const onNode =
      "file" in clientCertificate
        ? { ...clientCertificate, file: host.path(clientCertificate.file) }
        : clientCertificate;
    const { subject } = new X509Certificate(readPem(onNode, "CERTIFICATE"));
    return /^CN=system:node:(\S+)$/m.exec(subject)?.[1];
  } catch {
    // Another check validates the credential; the node's name is optional.
    return undefined;
  }
}
