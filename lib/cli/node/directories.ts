/** The directories of genie on a node. */
import type { Host } from "./host.ts";

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
  confDir: "/etc/cni/net.d",
  binDir: "/opt/cni/bin",
  dataDir: "/var/lib/cni/genie",
} as const;
