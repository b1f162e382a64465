/**
 * The folders of a node, as options of commands and with their defaults.
 */
import type { Input, Options } from "./command.ts";
import { Host } from "./host.ts";

/** Paths of the node. */
export interface Folders {
  confDir: string;
  binDir: string;
  /** Instead of the configuration's. */
  dataDir: string | undefined;
}

export const defaultFolders = {
  confDir: "/etc/cni/net.d",
  binDir: "/opt/cni/bin",
  dataDir: "/var/lib/cni/genie",
} as const;

export const folderOptions = {
  "conf-dir": {
    value: "DIR",
    path: "folder",
    about: `directory of network configurations (default ${defaultFolders.confDir})`,
  },
  "bin-dir": {
    value: "DIR",
    path: "folder",
    about: `directory of CNI plugins (default ${defaultFolders.binDir})`,
  },
  "data-dir": {
    value: "DIR",
    path: "folder",
    about: `directory of attachment records (default as configured, else ${defaultFolders.dataDir})`,
  },
} as const satisfies Options;

export const rootOption = {
  root: {
    value: "DIR",
    path: "folder",
    about: "where the node's file system is mounted (default /)",
  },
} as const satisfies Options;

export function foldersOf(input: Input): Folders {
  return {
    confDir: input.path("conf-dir") ?? defaultFolders.confDir,
    binDir: input.path("bin-dir") ?? defaultFolders.binDir,
    dataDir: input.path("data-dir"),
  };
}

export function hostOf(input: Input): Host {
  return new Host(input.path("root"));
}
