/**
 * Keys that mean nothing, with the key that was probably meant: a misspelt policy
 * is no policy. Loaded only where there is such a key.
 */
import { isObject } from "../cni/json.ts";
import { quote } from "../linux/text.ts";
import { configKeys, unknownConfigKeys } from "./config-schema.ts";
import { nearest } from "./nearest.ts";
import { joined } from "./problems.ts";

export interface UnknownKey {
  /** Its path: `policy.tipe`. */
  key: string;
  /** The known key that is spelt most alike, if one is near. */
  nearest: string | undefined;
}

/** The unknown keys of our network configuration. */
export function unknownKeys(config: unknown): UnknownKey[] {
  const keys = isObject(config) ? unknownConfigKeys(config) : [];
  return keys.map((key) => ({ key, nearest: nearest(key, configKeys) }));
}

/** `"alowedPlugins" (did you mean "allowedPlugins"?), "x"`, at most 8 KiB; `known` are by default those of our configuration. */
export function describeUnknownKeys(
  keys: readonly string[],
  known = configKeys,
): string {
  return joined(
    keys.values().map((key) => {
      const meant = nearest(key, known);
      const hint =
        meant === undefined ? "" : ` (did you mean ${quote(meant)}?)`;
      return quote(key) + hint;
    }),
  );
}
