/**
 * The plugins that a plugin can execute, for every policy (selection.md §6). Plugins
 * are Go programs, which read the keys of their configuration in any case.
 */
import { foldKey, isObject } from "./json.ts";

/** A plugin type that a configuration names. */
interface ExecutedType {
  type: string;
  /** Inside of `ipam`: an IPAM plugin. */
  isIpam: boolean;
}

/** Every `type` of the plugins, also in their `ipam`, `delegate`, `delegates` and `plugins`. */
export function executedTypes(plugins: readonly unknown[]): ExecutedType[] {
  const types: ExecutedType[] = [];
  for (const plugin of plugins)
    if (isObject(plugin)) addTypes(plugin, false, types);
  return types;
}

/** Whether one of the plugins is, or names, a plugin of one of these types. */
export function executesAny(
  plugins: readonly unknown[],
  types: readonly string[],
): boolean {
  for (const { type } of executedTypes(plugins)) {
    if (types.includes(type)) return true;
  }
  return false;
}

/** Reads all spellings of a key: their order decides which one a Go program uses. */
function addTypes(
  value: unknown,
  isIpam: boolean,
  types: ExecutedType[],
): void {
  if (Array.isArray(value)) {
    for (const item of value) addTypes(item, isIpam, types);
    return;
  }
  if (!isObject(value)) return;
  for (const [key, inner] of Object.entries(value)) {
    const folded = foldKey(key);
    if (folded === "ipam") addTypes(inner, true, types);
    else if (folded === "delegate") addTypes(inner, isIpam, types);
    else if (folded === "delegates" || folded === "plugins")
      addTypes(pluginsOf(inner), isIpam, types);
    // `"ipam": {"type": ""}` is a network without IPAM.
    else if (folded === "type" && inner !== "" && typeof inner === "string")
      types.push({ type: inner, isIpam });
  }
}

/** The plugins of a list, of a single plugin, or of a map by any name. */
function pluginsOf(value: unknown): unknown {
  if (!isObject(value)) return value;
  const isPlugin = Object.keys(value).some((key) => foldKey(key) === "type");
  return isPlugin ? value : Object.values(value);
}
