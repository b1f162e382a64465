/**
 * What a container without a record may have been given: a guess, for pods that
 * were attached before us (state.md "DEL"). Pure.
 */
import { own } from "../cni/json.ts";
import { parseNetworks } from "./cni-annotation.ts";
import type { Attachment } from "./attachment.ts";
import { defaultsOrNone } from "./default-networks.ts";
import { findNetwork } from "./resolve.ts";
import {
  type Selection,
  cniAnnotation,
  isChoice,
  isDefault,
  namesOf,
} from "./select.ts";

/**
 * What a container without a record may have: the default network on
 * CNI_IFNAME, and what its `cni` annotation names. Whatever does not resolve is
 * left out (state.md "DEL").
 */
export function formerAttachments(selection: Selection): Attachment[] {
  const { config, annotations, ifname, args } = selection;
  const former = formerDefault(selection);
  const cni = own(annotations, cniAnnotation);
  const chosen = isChoice(cni) ? formerChoice(cni, selection) : [];
  return [...former, ...chosen].map((network) => ({
    ...network,
    args,
    capabilityArgs: network.ifname === ifname ? config.runtimeConfig : {},
  }));
}

/** Of several default networks the one that ADD puts on CNI_IFNAME. */
function formerDefault({ config, networks, ifname }: Selection) {
  const defaults = defaultsOrNone(config, networks);
  try {
    const ifnames = namesOf(defaults, [], ifname);
    return defaults.flatMap(({ list }, i) =>
      ifnames[i] === ifname ? [{ list, ifname }] : [],
    );
  } catch {
    return [];
  }
}

/** The networks of a `cni` annotation that exist, under the names that ADD would give. */
function formerChoice(cni: string, { networks, ifname }: Selection) {
  try {
    const elements = parseNetworks('annotation "cni"', cni);
    const ifnames = namesOf(elements, [], ifname);
    return elements.flatMap((element, i) => {
      if (isDefault(element, networks)) return [];
      const candidate = findNetwork(networks, element.name);
      const name = ifnames[i];
      return candidate && name ? [{ list: candidate.list, ifname: name }] : [];
    });
  } catch {
    return [];
  }
}
