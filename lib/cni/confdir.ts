/**
 * Reads directories of network configurations: the candidates, their content, and the
 * fault of an invalid one (cni-runtime.md §2.1, selection.md §4). It chooses nothing.
 * Other programs write there, so it reads regular files of limited size only.
 */
import {
  maxPlugins,
  parseConf,
  parseConfList,
  parsePlugin,
  type NetworkConfigList,
  type PluginConf,
} from "./conflist.ts";
import { Code, CniError } from "./error.ts";
import { errnoOf, messageOf } from "../linux/errno.ts";
import { plain, sortByBytes } from "../linux/text.ts";
import { listIfAny, readRegularFile, statusIfAny } from "../linux/files.ts";
import { parseJson } from "./json.ts";

/** A file of the directory: its configuration, or the reason why it is invalid. */
export type ConfFile =
  | { file: string; list: NetworkConfigList; problem?: undefined }
  | { file: string; list?: undefined; problem: string };

/** Reads all files of {@link listConfDir}. */
export function readConfDir(directory: string): ConfFile[] {
  const files: ConfFile[] = [];
  for (const file of listConfDir(directory)) {
    const found = readConfFile(directory, file);
    if (found) files.push(found);
  }
  return files;
}

/**
 * The names that end in `.conflist`, `.conf` or `.json`, in byte order, none that
 * begins with a dot. A missing directory has none; one that cannot be read is an
 * error 5.
 */
export function listConfDir(directory: string): string[] {
  return names(directory, [".conflist", ".conf", ".json"]);
}

/** Reads one file of {@link listConfDir}; undefined for a directory. */
export function readConfFile(
  directory: string,
  file: string,
): ConfFile | undefined {
  try {
    const text = read(`${directory}/${file}`);
    return text === undefined
      ? undefined
      : { file, list: parse(directory, file, text) };
  } catch (error) {
    return { file, problem: messageOf(error) };
  }
}

function parse(
  directory: string,
  file: string,
  text: string,
): NetworkConfigList {
  const value = json(
    text,
    file.endsWith(".conflist") ? "configuration list" : "configuration",
  );
  if (!file.endsWith(".conflist")) return parseConf(value);
  const list = parseConfList(value);
  const plugins = list.loadOnlyInlinedPlugins
    ? list.plugins
    : [...list.plugins, ...pluginDirectory(directory, list.name)];
  if (plugins.length === 0) throw new Error("no plugin configs found");
  if (plugins.length > maxPlugins)
    throw new Error(`more than ${maxPlugins} plugins`);
  return { ...list, plugins };
}

/** `<directory>/<network name>/*.conf`, one plugin object each, after those of the list (R-LD-5). */
function pluginDirectory(directory: string, network: string): PluginConf[] {
  // A name that is not a plain file name has no directory here; ADD refuses it.
  if (["", ".", ".."].includes(network) || network.includes("/")) return [];
  const path = `${directory}/${network}`;
  if (statusIfAny(path)?.kind !== "directory") return [];
  const plugins: PluginConf[] = [];
  for (const file of names(path, [".conf"])) {
    try {
      const text = read(`${path}/${file}`);
      if (text === undefined) continue;
      plugins.push(parsePlugin(json(text, "configuration")));
    } catch (cause) {
      throw new Error(
        `failed to parse plugin config ${plain(network)}/${file}: ${messageOf(cause)}`,
        { cause },
      );
    }
  }
  return plugins;
}

function names(directory: string, extensions: readonly string[]): string[] {
  let entries: string[];
  try {
    entries = listIfAny(directory);
  } catch (cause) {
    throw new CniError(
      Code.io,
      `failed to read directory ${directory}: ${messageOf(cause)}`,
      { cause },
    );
  }
  // In place, and no text for each end: 300 names must not fill the heap (docs/performance.md).
  let named = 0;
  for (const entry of entries)
    if (!entry.startsWith(".") && hasEnd(entry, extensions))
      entries[named++] = entry;
  entries.length = named;
  return sortByBytes(entries);
}

function hasEnd(name: string, ends: readonly string[]): boolean {
  for (const end of ends) if (name.endsWith(end)) return true;
  return false;
}

/** A network configuration has a few kilobytes; this limit is far above. */
const maxBytes = 1 << 20;

/** The text of a file; undefined for a directory. Throws Error. */
function read(path: string): string | undefined {
  try {
    return readRegularFile(path, maxBytes);
  } catch (cause) {
    if (errnoOf(cause) === "EISDIR") return undefined;
    throw new Error(`failed to read file: ${messageOf(cause)}`, { cause });
  }
}

function json(text: string, what: string): unknown {
  try {
    return parseJson(text);
  } catch (cause) {
    throw new Error(`error parsing ${what}: ${messageOf(cause)}`, { cause });
  }
}
