/**
 * Keys that mean nothing, with the key that was probably meant: a misspelt
 * policy is no policy. Loaded only where there is such a key.
 */
import { quote } from "../cni/error.ts";
import { configKeys, nestedKeys } from "./config-keys.ts";
import { readConfigForCleanup } from "./config.ts";
import { nearest } from "./nearest.ts";
import { Problems } from "./problems.ts";

export interface UnknownKey {
  /** Its path: `policy.tipe`. */
  key: string;
  /** The known key that is spelt most alike, if one is near. */
  nearest?: string;
}

/** The unknown keys of our network configuration. */
export function unknownKeys(config: unknown): UnknownKey[] {
  const known = knownConfigKeys();
  const found: UnknownKey[] = [];
  for (const key of readConfigForCleanup(config, () => {}).unknownKeys) {
    const meant = nearest(key, known);
    found.push(meant === undefined ? { key } : { key, nearest: meant });
  }
  return found;
}

/** `"alowedPlugins" (did you mean "allowedPlugins"?), "x"`, at most 8 KiB; `known` are by default those of our configuration. */
export function describeUnknownKeys(
  keys: readonly string[],
  known: readonly string[] = knownConfigKeys(),
): string {
  const texts = new Problems();
  for (const key of keys) {
    const meant = nearest(key, known);
    const hint = meant === undefined ? "" : ` (did you mean ${quote(meant)}?)`;
    if (!texts.add(quote(key) + hint)) break;
  }
  return texts.text;
}

function knownConfigKeys(): string[] {
  const known: string[] = Object.keys(configKeys);
  for (const [parent, keys] of Object.entries(nestedKeys)) {
    for (const key of keys) known.push(`${parent}.${key}`);
  }
  return known;
}
