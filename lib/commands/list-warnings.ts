/**
 * What is odd about our own configuration list although it can be installed:
 * keys that mean nothing, a place in the list that fails every pod. Pure.
 */
import { own } from "../cni/json.ts";
import { type UnknownKey, unknownKeys } from "../select/unknown-keys.ts";
import { ownType } from "./node.ts";
import { ownPlugin } from "./own-list.ts";

export interface ListWarning {
  found: string;
  advice: string;
}

/** Of the decoded file. */
export function listWarnings(list: unknown): ListWarning[] {
  return [...placeWarnings(list), ...unknownKeys(ownPlugin(list)).map(warning)];
}

/** A typing error in the name of a policy is no policy (configuration.md). */
function warning({ key, nearest }: UnknownKey): ListWarning {
  const name = JSON.stringify(key);
  return {
    found: `unknown key ${name} is ignored${nearest === undefined ? "" : `: did you mean ${JSON.stringify(nearest)}?`}`,
    advice:
      nearest === undefined
        ? `remove ${name}, or correct its name`
        : `rename ${name} to ${JSON.stringify(nearest)}`,
  };
}

function placeWarnings(list: unknown): ListWarning[] {
  const plugins = own(list, "plugins");
  const types = Array.isArray(plugins)
    ? plugins.map((plugin: unknown) => own(plugin, "type"))
    : [];
  if (
    types.indexOf(ownType) <= 0 &&
    types.indexOf(ownType) === types.lastIndexOf(ownType)
  )
    return [];
  return [
    {
      found:
        "genie must be the first plugin of its list, and there once: every pod fails",
      advice: `put the plugin "${ownType}" first in "plugins"`,
    },
  ];
}
