/**
 * IPAM plugins in use that `allowedIpams` does not have: with `allowedPlugins`,
 * definitions may use only a few, and a definition like the node's own networks
 * would be refused (configuration.md).
 */
import { quote } from "../../linux/text.ts";
import { executedTypes } from "../../cni/executable-types.ts";
import type { NetworkConfigList } from "../../cni/conflist.ts";
import type { Check, Finding, Node } from "./check.ts";

export const checkAllowedIpams: Check = async (node) => {
  const { allowedPlugins, allowedIpams } = node.config ?? {};
  if (!allowedPlugins || !allowedIpams) return [];
  const allowed = new Set([...allowedIpams, ...allowedPlugins]);
  return [...(await usersOf(node))]
    .filter(([type]) => !allowed.has(type))
    .map(([type, users]): Finding => ({
      check: "allowed IPAM",
      verdict: "warn",
      found: `${[...users].join(", ")} ${users.size === 1 ? "uses" : "use"} IPAM ${quote(type)}, which is outside of allowedIpams (${allowedIpams.join(", ") || "none"}): definitions with it are refused`,
      advice: `add ${quote(type)} to allowedIpams, if definitions may use it`,
    }));
};

/** Type → the networks of the node and the recorded definitions that use it. */
async function usersOf({
  networks,
  context,
}: Node): Promise<Map<string, Set<string>>> {
  const users = new Map<string, Set<string>>();
  const add = ({ plugins }: NetworkConfigList, user: string) => {
    for (const { type, isIpam } of executedTypes(plugins))
      if (isIpam && type !== "")
        users.set(type, (users.get(type) ?? new Set()).add(user));
  };
  for (const { list, file } of networks.candidates)
    add(list, `network ${file}`);
  for await (const { record } of context?.records.all() ?? [])
    for (const { list, definition } of record?.attachments ?? [])
      if (definition !== undefined) add(list, `definition ${definition}`);
  return users;
}
