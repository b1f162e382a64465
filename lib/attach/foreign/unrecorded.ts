/**
 * DEL of a container without a record that the runtime attached before genie was installed
 * (state.md "DEL"): by an entry in the cache of libcni, else by a guess from the request's
 * annotations and the node's networks. It never calls the API server. Loaded for such a
 * container.
 */
import { ownText } from "../../cni/json.ts";
import type { Deadline } from "../../linux/deadline.ts";
import { messageOf } from "../../linux/errno.ts";
import {
  type Annotations,
  type Attachment,
  cniAnnotation,
  displayName,
} from "../../select/attachment.ts";
import { parseNetworks } from "../../select/cni-annotation.ts";
import { defaultsOrNone } from "../../select/default-network.ts";
import { nameInterfaces } from "../../select/interface-names.ts";
import { isDefaultName } from "../../select/named-network.ts";
import { findNetwork } from "../../select/node-networks.ts";
import type { SelectionContext } from "../../select/selection-context.ts";
import type { Lock } from "../../state/lock.ts";
import { requestAnnotations } from "../choice/pod-annotations.ts";
import { type Context, readNetworks } from "../context.ts";
import { delegateCaller } from "../delegates.ts";
import { deleteAttachments } from "../delete-attachments.ts";
import type { ForeignRecords } from "./foreign-records.ts";
import { givenResult, readCacheEntries } from "./runtime-cache.ts";

/**
 * Deletes exactly the list that an entry of the cache names, else the networks that the
 * container may have. Errors are only logged.
 */
export async function deleteBestEffort(
  context: Context,
  { multusFile, cacheEntries }: ForeignRecords,
  lock: Lock | undefined,
  deadline: Deadline,
): Promise<void> {
  const { request, path, log } = context;
  const { containerId, netns, ifname } = request;
  const entries = readCacheEntries(context, cacheEntries);
  if (entries.length === 0 && multusFile === undefined) return;
  const exact = entries.find(({ attachment }) => attachment);
  const { failures } = await deleteAttachments(
    exact?.attachment ? [exact.attachment] : possibleAttachments(context),
    exact?.result ? new Map([[ifname, exact.result]]) : givenResult(context),
    { containerId, netns, path },
    deadline,
    delegateCaller(context, lock),
  );
  for (const { attachment, error } of failures) {
    log().warn("failed to delete a network of a container without a record", {
      network: displayName(attachment),
      ifname: attachment.ifname,
      error: error.message,
    });
  }
}

/** The guess; empty if the annotations or the networks cannot be read. */
function possibleAttachments(context: Context): Attachment[] {
  const { request, config } = context;
  const { ifname, args } = request;
  const attempt = <T>(what: string, work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      context.log().debug(`no ${what} for a container without a record`, {
        error: messageOf(error),
      });
      return undefined;
    }
  };
  const annotations =
    attempt("annotations", () => requestAnnotations(context)) ?? {};
  const former = attempt("network", () => {
    const networks = readNetworks(context);
    return formerAttachments({ annotations, config, networks, ifname, args });
  });
  return former ?? [];
}

type FormerSelection = SelectionContext & { annotations: Annotations };

/**
 * The guess: the default network on CNI_IFNAME, and the networks of the `cni` annotation
 * that exist. The others are left out.
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
      // The default network is added by formerDefault.
      const isDefault = isDefaultName(name, networks);
      const found = isDefault ? undefined : findNetwork(networks, name);
      const ifname = ifnames[i];
      return found && ifname ? [{ list: found.list, ifname }] : [];
    });
  } catch {
    return [];
  }
}
