/**
 * Keys of genie's configuration that `install` sets: `--set KEY=JSON`, and files of a
 * directory as a ConfigMap is mounted, one for each key (`--settings`). They change the
 * file as an operator's editor would, so each run checks them with the rest. `null`
 * removes a key; a key that is not named any more stays.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { isObject, parseJson } from "../../cni/json.ts";
import { errnoOf, messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import { configKeys } from "../../select/config-schema.ts";
import { type Input, UsageError, suggestion } from "../command/input.ts";
import { type Options, optionsOf } from "../command/options.ts";
import { readTextIfAny } from "../node/read-file.ts";
import { type ListFile, ownPlugin, withOwnPlugin } from "./own-list.ts";

export const setOption = {
  set: {
    value: "KEY=JSON",
    repeated: true,
    about:
      "set a key of genie's configuration, e.g. strict=true or policy.type='\"x\"'; null removes it",
  },
} as const satisfies Options;

export const settingsOption = optionsOf({
  "--settings DIR":
    "set the keys that are files of this directory, such as a mounted ConfigMap",
});

/** Values by keys; a key of an object is `policy.type`. */
export type Settings = ReadonlyMap<string, unknown>;

/** Set by `install` itself, or by the runtime for a call. */
const fixed = new Set([
  "type",
  "name",
  "cniVersion",
  "cniVersions",
  "prevResult",
  "runtimeConfig",
]);

/** The keys that an operator may set. */
export const settableKeys = configKeys.filter((key) => !fixed.has(key));

/** The settings of `--set`. Throws UsageError. */
export function parseSettings(input: Input): Settings {
  const fail = (text: string) => new UsageError(`--set ${text}`);
  const settings = new Map(
    input.texts("set").map((word) => {
      const [, key, json] = /^([^=]+)=(.*)$/s.exec(word) ?? [];
      if (key === undefined || json === undefined)
        throw fail(`${quote(word)}: expected KEY=JSON`);
      return setting(key, json, fail);
    }),
  );
  if (input.text("default") !== undefined && settings.has("default_plugin"))
    throw new UsageError(
      "--default and --set default_plugin exclude each other",
    );
  return settings;
}

/** The settings of `--settings`; none if the directory is missing. Throws Error. */
export function readSettings(directory: string | undefined): Settings {
  if (directory === undefined) return new Map();
  return new Map(
    keyFilesIn(directory).map((key) => {
      const path = join(directory, key);
      const fail = (text: string) => new Error(`${directory}: ${text}`);
      return setting(key, readTextIfAny(path) ?? "", fail);
    }),
  );
}

function setting(
  key: string,
  json: string,
  fail: (text: string) => Error,
): [key: string, value: unknown] {
  if (fixed.has(key)) throw fail(`${key}: install sets this key itself`);
  requireKnown(key, fail);
  let value: unknown;
  try {
    value = parseJson(json);
  } catch (cause) {
    throw fail(
      `${key}: expected JSON (a string has quotes), got ${quote(json)}: ${messageOf(cause)}`,
    );
  }
  // A CNI key such as `capabilities` may have any key.
  if (isObject(value) && configKeys.some((one) => one.startsWith(`${key}.`)))
    for (const inner of Object.keys(value))
      requireKnown(`${key}.${inner}`, fail);
  return [key, value];
}

function requireKnown(key: string, fail: (text: string) => Error): void {
  if (configKeys.includes(key)) return;
  throw fail(`${key}: unknown key${suggestion(key, configKeys)}`);
}

/** The list with these keys in genie's plugin object; itself if there is no change. */
export function withSettings(
  list: ListFile | undefined,
  settings: Settings,
): ListFile | undefined {
  if (settings.size === 0) return list;
  const before = ownPlugin(list?.value);
  const plugin = structuredClone(before);
  for (const [key, value] of settings) {
    const [outer = "", inner] = key.split(".");
    if (inner === undefined) put(plugin, outer, value);
    else {
      const group = plugin[outer];
      const edited = isObject(group) ? { ...group } : {};
      put(edited, inner, value);
      plugin[outer] = edited;
    }
  }
  return Bun.deepEquals(plugin, before) ? list : withOwnPlugin(list, plugin);
}

function put(object: Record<string, unknown>, key: string, value: unknown) {
  if (value === null) delete object[key];
  else object[key] = value;
}

/** Keys; the kubelet's own links of the mount begin with a dot. */
function keyFilesIn(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => !name.startsWith("."));
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT") return [];
    throw new Error(`--settings: ${messageOf(cause)}`, { cause });
  }
}
