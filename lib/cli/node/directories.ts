/** The directories of genie on a node, and the options that name them. */
import { statSync } from "node:fs";
import { quote } from "../../linux/text.ts";
import { defaultConfDir, defaultDataDir } from "../../select/config.ts";
import { type Input, UsageError } from "../command/input.ts";
import { type Options, argsOf, optionsOf } from "../command/options.ts";
import { Host } from "./host.ts";

/** Genie's plugin type and executable name. */
export const ownType = "genie";

/**
 * Genie's configuration. It sorts first, because a runtime uses the first file
 * (container-runtimes.md K-1).
 */
export const ownFile = "00-genie.conflist";

/** Genie's directories, as paths of the node. */
export interface Directories {
  host: Host;
  confDir: string;
  binDir: string;
  /** Overrides the configuration. */
  dataDir: string | undefined;
}

export const defaultDirectories = {
  confDir: defaultConfDir,
  binDir: "/opt/cni/bin",
  dataDir: defaultDataDir,
} as const;

export const directoryOptions = optionsOf({
  "--conf-dir DIR": `directory of network configurations (default ${defaultDirectories.confDir})`,
  "--bin-dir DIR": `directory of CNI plugins (default ${defaultDirectories.binDir})`,
  "--data-dir DIR": `directory of attachment records (default as configured, else ${defaultDirectories.dataDir})`,
});

/** Options of commands that also work in a container that mounts the node's file system. */
export const nodeOptions = {
  ...directoryOptions,
  ...optionsOf({
    "--root DIR": "where the node's file system is mounted (default /)",
  }),
} as const satisfies Options;

export function directoriesOf(input: Input): Directories {
  return {
    host: hostOf(input),
    confDir: input.path("conf-dir") ?? defaultDirectories.confDir,
    binDir: input.path("bin-dir") ?? defaultDirectories.binDir,
    dataDir: input.path("data-dir"),
  };
}

/** The arguments with which another genie uses the same directories. */
export function directoryArgs(directories: Directories): string[] {
  const { confDir, binDir, dataDir } = directories;
  return argsOf({
    "conf-dir": confDir === defaultDirectories.confDir ? undefined : confDir,
    "bin-dir": binDir === defaultDirectories.binDir ? undefined : binDir,
    "data-dir": dataDir,
  });
}

/** Throws UsageError for a root that is no directory: a node there would look empty. */
function hostOf(input: Input): Host {
  const root = input.path("root");
  if (
    root !== undefined &&
    !statSync(root, { throwIfNoEntry: false })?.isDirectory()
  )
    throw new UsageError(`--root: no directory ${quote(root)}`);
  return new Host(root);
}
