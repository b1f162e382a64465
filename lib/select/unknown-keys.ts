/**
 * Keys that mean nothing, with the key that was probably meant: a misspelt
 * policy is no policy. Loaded only where there is such a key.
 */
import { quote } from "../linux/text.ts";
import { isObject } from "../cni/json.ts";
import { configKeys, unknownKeysOf } from "./config-problems.ts";
import { nearest } from "./nearest.ts";
import { problemList } from "./problems.ts";

export interface UnknownKey {
  /** Its path: `policy.tipe`. */
  key: string;
  /** The known key that is spelt most alike, if one is near. */
  nearest?: string;
}

/** The unknown keys of our network configuration. */
export function unknownKeys(config: unknown): UnknownKey[] {
  const found: UnknownKey[] = [];
  for (const key of isObject(config) ? unknownKeysOf(config) : []) {
    const meant = nearest(key, configKeys);
    found.push(meant === undefined ? { key } : { key, nearest: meant });
  }
  return found;
}

/** `"alowedPlugins" (did you mean "allowedPlugins"?), "x"`, at most 8 KiB; `known` are by default those of our configuration. */
export function describeUnknownKeys(
  keys: readonly string[],
  known: readonly string[] = configKeys,
): string {
  const texts = problemList();
  for (const key of keys) {
    const meant = nearest(key, known);
    const hint = meant === undefined ? "" : ` (did you mean ${quote(meant)}?)`;
    if (!texts.add(quote(key) + hint)) break;
  }
  return texts.text;
}
