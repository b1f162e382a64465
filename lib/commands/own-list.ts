/**
 * Our own configuration list, as container-runtimes.md §1 and K-1 want it. Pure.
 * What an operator added to it stays.
 */
import { isObject, own } from "../cni/json.ts";
import { annotationsCapability } from "../select/config.ts";
import { ownType } from "./node.ts";

/** What `install` decides; the rest is the operator's. */
export interface OwnSettings {
  /** Of the default network: CRI-O takes pods that are there already for its own (K-1). */
  name: string;
  defaultPlugin: string;
  /** undefined: no API server. */
  kubeconfig: string | undefined;
  /** undefined: as by default. */
  confDir: string | undefined;
  dataDir: string | undefined;
}

/**
 * libcni below 1.2 ignores `cniVersions` and takes 1.0.0, the newest it can do;
 * newer ones take 1.1.0 (container-runtimes.md §2.3).
 */
const versions = {
  cniVersion: "1.0.0",
  cniVersions: ["0.4.0", "1.0.0", "1.1.0"],
};

/** Everything that containerd and CRI-O offer (container-runtimes.md §1, §2.5, §3.4). */
const capabilities = {
  [annotationsCapability]: true,
  portMappings: true,
  bandwidth: true,
  dns: true,
  cgroupPath: true,
};

/** The text of the file; the same settings upon their own result give the same text. */
export function ownListText(existing: unknown, settings: OwnSettings): string {
  const { name, defaultPlugin, kubeconfig, confDir, dataDir } = settings;
  const top = isObject(existing) ? existing : {};
  const plugin = ownPlugin(existing);
  const list = {
    ...versions,
    ...top,
    ...versions,
    name,
    loadOnlyInlinedPlugins: true,
    plugins: [
      {
        ...plugin,
        type: ownType,
        capabilities: { ...objectOf(plugin, "capabilities"), ...capabilities },
        default_plugin: defaultPlugin,
        ...(kubeconfig !== undefined && {
          kubernetes: { ...objectOf(plugin, "kubernetes"), kubeconfig },
        }),
        ...(confDir !== undefined && { confDir }),
        ...(dataDir !== undefined && { dataDir }),
      },
    ],
  };
  return `${JSON.stringify(list, null, 2)}\n`;
}

/** The plugin object of a list of ours; empty when there is none. */
export function ownPlugin(list: unknown): Record<string, unknown> {
  const plugins = own(list, "plugins");
  const found: unknown = Array.isArray(plugins)
    ? plugins.find((plugin: unknown) => own(plugin, "type") === ownType)
    : undefined;
  return isObject(found) ? found : {};
}

function objectOf(plugin: unknown, key: string): Record<string, unknown> {
  const value = own(plugin, key);
  return isObject(value) ? value : {};
}
