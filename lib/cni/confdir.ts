/**
 * Reads the folder of network configurations: which files are candidates, what
 * each says, and why an invalid one is (cni-runtime.md §2.1, selection.md §4).
 * The only module that reads that folder; nothing here chooses.
 */
import {
  parseConf,
  parseConfList,
  parsePlugin,
  type NetworkConfigList,
  type PluginConf,
} from "./conflist.ts";
import { Code, CniError, errnoOf, messageOf, plain } from "./error.ts";
import { listIfAny, readFile } from "./files.ts";
import { parseJson } from "./json.ts";
import { compareBytes } from "./text.ts";

/** A file of the folder: its configuration, or why it has none. */
export type ConfFile =
  | { file: string; list: NetworkConfigList; problem?: undefined }
  | { file: string; list?: undefined; problem: string };

/**
 * All files ending in `.conflist`, `.conf` or `.json`, in byte order of their
 * names; names starting with a dot are no candidates. A missing folder holds
 * nothing; one that cannot be read is an error 5.
 */
export function readConfDir(folder: string): ConfFile[] {
  const files: ConfFile[] = [];
  for (const file of names(folder, [".conflist", ".conf", ".json"])) {
    try {
      const text = read(`${folder}/${file}`);
      if (text === undefined) continue;
      files.push({ file, list: parse(folder, file, text) });
    } catch (error) {
      files.push({ file, problem: messageOf(error) });
    }
  }
  return files;
}

function parse(folder: string, file: string, text: string): NetworkConfigList {
  const value = json(
    text,
    file.endsWith(".conflist") ? "configuration list" : "configuration",
  );
  if (!file.endsWith(".conflist")) return parseConf(value);
  const list = parseConfList(value);
  const plugins = list.loadOnlyInlinedPlugins
    ? list.plugins
    : [...list.plugins, ...pluginFolder(folder, list.name)];
  if (plugins.length === 0) throw new Error("no plugin configs found");
  return { ...list, plugins };
}

/** `<folder>/<network name>/*.conf`, one plugin object each, after those of the list (R-LD-5). */
function pluginFolder(folder: string, network: string): PluginConf[] {
  // A name that is no plain file name cannot be a folder here; it is refused at ADD.
  if (["", ".", ".."].includes(network) || network.includes("/")) return [];
  const path = `${folder}/${network}`;
  const plugins: PluginConf[] = [];
  for (const file of names(path, [".conf"])) {
    try {
      const text = read(`${path}/${file}`);
      if (text === undefined) continue;
      plugins.push(parsePlugin(json(text, "configuration")));
    } catch (cause) {
      throw new Error(
        `failed to parse plugin config ${plain(network)}/${file}: ${messageOf(cause)}`,
        {
          cause,
        },
      );
    }
  }
  return plugins;
}

function names(folder: string, extensions: readonly string[]): string[] {
  let entries: string[];
  try {
    entries = listIfAny(folder);
  } catch (cause) {
    throw new CniError(
      Code.io,
      `failed to read folder ${folder}: ${messageOf(cause)}`,
      { cause },
    );
  }
  const named: string[] = [];
  for (const entry of entries) {
    const extension = entry.slice(entry.lastIndexOf("."));
    if (entry.startsWith(".") || !extensions.includes(extension)) continue;
    named.push(entry);
  }
  return named.toSorted(compareBytes);
}

/** The text of a file, undefined for a folder. Throws Error. */
function read(path: string): string | undefined {
  try {
    return readFile(path);
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
