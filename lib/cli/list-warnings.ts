/**
 * Faults of a valid configuration list of ours: unknown keys, a position that fails
 * every pod. Pure.
 */
import { own } from "../cni/json.ts";
import { configKeys, unknownConfigKeys } from "../select/config-schema.ts";
import { nearest } from "../select/nearest.ts";
import { ownType } from "./node.ts";
import { ownPlugin } from "./own-list.ts";

export interface ListWarning {
  /** "fail": no pod can be created. */
  verdict: "warn" | "fail";
  found: string;
  advice: string;
}

/** Warnings about the decoded file. */
export function listWarnings(list: unknown): ListWarning[] {
  const unknown = unknownConfigKeys(ownPlugin(list));
  return [...placeWarnings(list), ...unknown.map(unknownKeyWarning)];
}

/** A misspelt policy is no policy (configuration.md). */
function unknownKeyWarning(key: string): ListWarning {
  const name = JSON.stringify(key);
  const meant = nearest(key, configKeys);
  return {
    verdict: "warn",
    found: `unknown key ${name} is ignored${meant === undefined ? "" : `: did you mean ${JSON.stringify(meant)}?`}`,
    advice:
      meant === undefined
        ? `remove ${name}, or correct its name`
        : `rename ${name} to ${JSON.stringify(meant)}`,
  };
}

/**
 * A plugin before genie makes the runtime pass prevResult, which fails every ADD
 * (configuration.md).
 */
function placeWarnings(list: unknown): ListWarning[] {
  const plugins = own(list, "plugins");
  const places = (Array.isArray(plugins) ? plugins : []).flatMap(
    (plugin: unknown, i) => (own(plugin, "type") === ownType ? [i] : []),
  );
  if (places.every((place) => place === 0)) return [];
  return [
    {
      verdict: "fail",
      found:
        "genie must be the first plugin of its list, and be in it once: every pod fails",
      advice: `put the plugin "${ownType}" first in "plugins", and there only`,
    },
  ];
}
