/**
 * The networks that a container without a record may have (state.md "DEL"): a guess from
 * the request's annotations and the node's networks. Pure, but for the files of these.
 */
import { ownText } from "../../cni/json.ts";
import {
  type Annotations,
  type Attachment,
  cniAnnotation,
} from "../../select/attachment.ts";
import type { SelectionContext } from "../../select/selection-context.ts";
import { parseNetworks } from "../../select/cni-annotation.ts";
import { nameInterfaces } from "../../select/interface-names.ts";
import { isDefaultName } from "../../select/named-network.ts";
import { findNetwork } from "../../select/node-networks.ts";
import { defaultsOrNone } from "../../select/default-network.ts";

type FormerSelection = SelectionContext & { annotations: Annotations };

/**
 * A guess: the default network on CNI_IFNAME, and the networks of the `cni` annotation
 * that exist. Whatever does not resolve is left out.
 */
export function formerAttachments(selection: FormerSelection): Attachment[] {
  const { config, ifname, args } = selection;
  const former = [...formerDefault(selection), ...formerChoice(selection)];
  return former.map((network) => ({
    ...network,
    args,
    capabilityArgs: network.ifname === ifname ? config.runtimeConfig : {},
  }));
}

type FormerNetwork = Pick<Attachment, "list" | "ifname">;

/** The default network that ADD attaches to CNI_IFNAME. */
function formerDefault(selection: FormerSelection): FormerNetwork[] {
  const { config, networks, ifname } = selection;
  const defaults = defaultsOrNone(config, networks);
  try {
    const requested = defaults.map((network) => network.ifname);
    const ifnames = nameInterfaces(requested, [], ifname);
    return defaults.flatMap(({ candidate: { list } }, i) =>
      ifnames[i] === ifname ? [{ list, ifname }] : [],
    );
  } catch {
    return [];
  }
}

/** Under the interface names that ADD would give. */
function formerChoice(selection: FormerSelection): FormerNetwork[] {
  const { annotations, networks, ifname: cniIfname } = selection;
  const cni = ownText(annotations, cniAnnotation) ?? "";
  try {
    const elements = parseNetworks('annotation "cni"', cni);
    const requested = elements.map((element) => element.ifname);
    const ifnames = nameInterfaces(requested, [], cniIfname);
    return elements.flatMap((element, i) => {
      const { name } = element;
      // The default network is {@link formerDefault}.
      const isDefault = isDefaultName(name, networks);
      const found = isDefault ? undefined : findNetwork(networks, name);
      const ifname = ifnames[i];
      return found && ifname ? [{ list: found.list, ifname }] : [];
    });
  } catch {
    return [];
  }
}
