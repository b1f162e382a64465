/**
 * The directories of a node as options of commands, with their defaults.
 */
import type { Input, Options } from "./command.ts";
import { Host } from "./host.ts";

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

export function hostOf(input: Input): Host {
  return new Host(input.path("root"));
}
