/**
 * Our own configuration list, as container-runtimes.md §1 and K-1 want it. Pure.
 * Only our own plugin object and the keys that `install` decides are edited:
 * other plugins of the list (a mesh's `istio-cni`), other keys and their order
 * belong to whoever put them there.
 */
import { parseConfList } from "../cni/conflist.ts";
import { isObject, mismatch, own } from "../cni/json.ts";
import { annotationsCapability } from "../select/config.ts";
import { ownType } from "./node.ts";

/** What `install` decides; the rest is the operator's. */
export interface OwnSettings {
  /** Of the default network: CRI-O takes pods that are there already for its own (K-1). */
  name: string;
  defaultPlugin: string;
  /** undefined: no API server. */
  kubeconfig: string | undefined;
  /** undefined: unknown. One that is configured already stays. */
  nodeName: string | undefined;
  /** undefined: as by default. */
  confDir: string | undefined;
  dataDir: string | undefined;
}

/** A list as it is on the disk. */
export interface ListFile {
  text: string;
  value: Record<string, unknown>;
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

/**
 * The text of the file. One that says the same already is returned as it is,
 * however it is laid out. Throws Error for a list that no runtime would load.
 */
export function ownListText(
  existing: ListFile | undefined,
  settings: OwnSettings,
): string {
  const value = existing?.value ?? {};
  const list = {
    ...value,
    ...versions,
    name: settings.name,
    loadOnlyInlinedPlugins: true,
    plugins: pluginsOf(value, settings),
  };
  parseConfList(list);
  if (existing && Bun.deepEquals(list, existing.value)) return existing.text;
  return `${JSON.stringify(list, null, indentOf(existing?.text))}\n`;
}

export function hasOwnPlugin(list: unknown): boolean {
  const plugins = own(list, "plugins");
  return Array.isArray(plugins) && plugins.some(isOwn);
}

/** The plugin object of a list of ours; empty when there is none. */
export function ownPlugin(list: unknown): Record<string, unknown> {
  const plugins = own(list, "plugins");
  const found: unknown = Array.isArray(plugins)
    ? plugins.find(isOwn)
    : undefined;
  return isObject(found) ? found : {};
}

/** Ours at its place, or first where it is missing: behind others it would be given their prevResult. */
function pluginsOf(list: object, settings: OwnSettings): unknown[] {
  const given = own(list, "plugins") ?? [];
  if (!Array.isArray(given))
    throw new Error(`plugins: ${mismatch("an array", given)}`);
  const plugins: unknown[] = given;
  const edited = ownObject(ownPlugin(list), settings);
  const at = plugins.findIndex(isOwn);
  return at < 0 ? [edited, ...plugins] : plugins.with(at, edited);
}

function isOwn(plugin: unknown): boolean {
  return own(plugin, "type") === ownType;
}

function ownObject(
  plugin: Record<string, unknown>,
  { defaultPlugin, kubeconfig, nodeName, confDir, dataDir }: OwnSettings,
): Record<string, unknown> {
  return {
    ...(nodeName !== undefined && { nodeName }),
    ...plugin,
    type: ownType,
    capabilities: { ...objectOf(plugin, "capabilities"), ...capabilities },
    default_plugin: defaultPlugin,
    ...(kubeconfig !== undefined && {
      kubernetes: { ...objectOf(plugin, "kubernetes"), kubeconfig },
    }),
    ...(confDir !== undefined && { confDir }),
    ...(dataDir !== undefined && { dataDir }),
  };
}

function objectOf(plugin: unknown, key: string): Record<string, unknown> {
  const value = own(plugin, key);
  return isObject(value) ? value : {};
}

/** The indentation of the first line that has one. */
function indentOf(text: string | undefined): string {
  return /^[ \t]+(?=\S)/m.exec(text ?? "")?.[0] ?? "  ";
}
