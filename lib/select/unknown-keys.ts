/**
 * Keys that mean nothing, with the key that was probably meant: a misspelt
 * policy is no policy. Loaded only where there is such a key.
 */
import { quote } from "../cni/error.ts";
import { configKeys, nestedKeys } from "./config-keys.ts";
import { readConfigForCleanup } from "./config.ts";
import { nearest } from "./nearest.ts";
import { joinProblems } from "./problems.ts";

export interface UnknownKey {
  /** Its path: `policy.tipe`. */
  key: string;
  /** The known key that is spelt most alike, if one is near. */
  nearest?: string;
}

/** The unknown keys of our network configuration. */
export function unknownKeys(config: unknown): UnknownKey[] {
  const { unknownKeys: keys } = readConfigForCleanup(config, () => {});
  return nearestConfigKeys(keys);
}

/** For keys that {@link readConfig} found to be unknown. */
export function nearestConfigKeys(keys: readonly string[]): UnknownKey[] {
  return withNearest(keys, knownConfigKeys());
}

/** `"alowedPlugins" (did you mean "allowedPlugins"?), "x"`, at most 8 KiB. */
export function describeUnknownKeys(keys: readonly UnknownKey[]): string {
  const texts: string[] = [];
  for (const { key, nearest: meant } of keys) {
    texts.push(
      meant === undefined
        ? quote(key)
        : `${quote(key)} (did you mean ${quote(meant)}?)`,
    );
  }
  return joinProblems(texts);
}

export function withNearest(
  keys: readonly string[],
  known: readonly string[],
): UnknownKey[] {
  const found: UnknownKey[] = [];
  for (const key of keys) {
    const meant = nearest(key, known);
    found.push(meant === undefined ? { key } : { key, nearest: meant });
  }
  return found;
}

function knownConfigKeys(): string[] {
  const known: string[] = Object.keys(configKeys);
  for (const [parent, keys] of Object.entries(nestedKeys)) {
    for (const key of keys) known.push(`${parent}.${key}`);
  }
  return known;
}
