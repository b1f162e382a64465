/**
 * Genie's configuration list (container-runtimes.md §1, K-1). Pure. It changes
 * genie's plugin object and the keys that `install` sets; other plugins of the list
 * (a mesh's `istio-cni`), other keys and their order stay.
 * {@link listWarnings} finds the faults of a valid list: unknown keys, a position that
 * fails every pod.
 */
import * as v from "valibot";
import { parseConfList } from "../../cni/conflist.ts";
import { isObject, own, parseJson } from "../../cni/json.ts";
import { object, parse } from "../../cni/schema.ts";
import { quote } from "../../linux/text.ts";
import {
  configKeys,
  emptyAutomatic,
  unknownConfigKeys,
} from "../../select/config-schema.ts";
import { annotationsCapability } from "../../select/config.ts";
import { nearest } from "../../select/nearest-key.ts";
import { ownType } from "../node/directories.ts";
import type { Problem } from "../node/runtime-settings.ts";

/** The values that `install` sets; the operator owns the rest. */
interface OwnSettings {
  /** The default network's name: CRI-O then keeps pods that run already (K-1). */
  name: string;
  defaultPlugin: string;
  /** undefined: no API server. */
  kubeconfig: string | undefined;
  /** undefined: unknown; a configured name stays. */
  nodeName: string | undefined;
  /** undefined: the default. */
  confDir: string | undefined;
  dataDir: string | undefined;
}

const listFile = object({ plugins: v.optional(v.array(v.unknown())) });

/** A list as the file has it. */
export interface ListFile {
  text: string;
  value: v.InferOutput<typeof listFile>;
}

/** Throws Error for an invalid configuration list. */
export function parseListFile(text: string): ListFile {
  return { text, value: parse(listFile, parseJson(text), Error) };
}

/**
 * libcni below 1.2 ignores `cniVersions` and uses 1.0.0, the newest that it
 * supports; later versions use 1.1.0 (container-runtimes.md §2.3).
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
 * The text of the file; an equivalent `existing` text is returned unchanged. Throws
 * Error for a list that no runtime would load.
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
    plugins: replaceOwn(value, ownObject(ownPlugin(value), settings)),
  };
  parseConfList(list);
  if (existing && Bun.deepEquals(list, existing.value)) return existing.text;
  return formatList(list, existing?.text);
}

export function hasOwnPlugin(list: unknown): boolean {
  return pluginsOf(list).some(isOwn);
}

/** Our plugin object of a list; empty if there is none. */
export function ownPlugin(list: unknown): Record<string, unknown> {
  const found = pluginsOf(list).find(isOwn);
  return isObject(found) ? found : {};
}

function pluginsOf(list: unknown): unknown[] {
  const plugins = own(list, "plugins");
  return Array.isArray(plugins) ? plugins : [];
}

/** The list with another plugin object of ours; its text is new. */
export function withOwnPlugin(
  list: ListFile | undefined,
  plugin: Record<string, unknown>,
): ListFile {
  const plugins = replaceOwn(list?.value, { ...plugin, type: ownType });
  const value = { ...list?.value, plugins };
  return { text: formatList(value, list?.text), value };
}

/**
 * Our plugin object at its position, or first if it is missing: after other plugins
 * it would get a prevResult.
 */
function replaceOwn(
  { plugins = [] }: ListFile["value"] = {},
  plugin: object,
): unknown[] {
  const at = plugins.findIndex(isOwn);
  return at < 0 ? [plugin, ...plugins] : plugins.with(at, plugin);
}

/** The JSON text, indented as the existing text. */
function formatList(list: object, existing = ""): string {
  const indentation = /^[ \t]+(?=\S)/m.exec(existing)?.[0] ?? "  ";
  return `${JSON.stringify(list, null, indentation)}\n`;
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

interface ListWarning extends Problem {
  /** "fail": no pod can be created. */
  verdict: "warn" | "fail";
}

/** Warnings about the decoded file. */
export function listWarnings(list: unknown): ListWarning[] {
  const plugin = ownPlugin(list);
  return [
    ...placeWarnings(list),
    ...unknownConfigKeys(plugin).map(unknownKeyWarning),
    ...automaticWarnings(own(plugin, "automatic")),
  ];
}

function automaticWarnings(automatic: unknown): ListWarning[] {
  const networks = own(automatic, "networks");
  const isEmpty = Array.isArray(networks) ? networks.length === 0 : !networks;
  if (!isObject(automatic) || !isEmpty) return [];
  const advice =
    'name the networks in "automatic.networks", or remove "automatic"';
  return [{ verdict: "warn", found: emptyAutomatic, advice }];
}

/** A misspelt policy is no policy (configuration.md). */
function unknownKeyWarning(key: string): ListWarning {
  const meant = nearest(key, configKeys);
  const found = `unknown key ${quote(key)} is ignored`;
  return meant === undefined
    ? {
        verdict: "warn",
        found,
        advice: `remove ${quote(key)}, or correct its name`,
      }
    : {
        verdict: "warn",
        found: `${found}: did you mean ${quote(meant)}?`,
        advice: `rename ${quote(key)} to ${quote(meant)}`,
      };
}

/**
 * A plugin before genie makes the runtime pass prevResult, which fails every ADD
 * (configuration.md).
 */
function placeWarnings(list: unknown): ListWarning[] {
  const [, ...others] = pluginsOf(list);
  if (!others.some(isOwn)) return [];
  return [
    {
      verdict: "fail",
      found:
        "genie must be the first plugin of its list, and be in it once: every pod fails",
      advice: `put the plugin "${ownType}" first in "plugins", and there only`,
    },
  ];
}
