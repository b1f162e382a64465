/**
 * What is odd about our own configuration list although it can be installed:
 * keys that mean nothing, a place in the list that fails every pod. Pure.
 */
import { own } from "../cni/json.ts";
import { type UnknownKey, unknownKeys } from "../select/unknown-keys.ts";
import { ownType } from "./node.ts";
import { ownPlugin } from "./own-list.ts";

export interface ListWarning {
  /** "fail": no pod can be created. */
  verdict: "warn" | "fail";
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
    verdict: "warn",
    found: `unknown key ${name} is ignored${nearest === undefined ? "" : `: did you mean ${JSON.stringify(nearest)}?`}`,
    advice:
      nearest === undefined
        ? `remove ${name}, or correct its name`
        : `rename ${name} to ${JSON.stringify(nearest)}`,
  };
}

/** A plugin before ours hands us its prevResult, which is an error of every ADD (configuration.md). */
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
