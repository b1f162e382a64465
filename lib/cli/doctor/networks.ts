/**
 * Each network of the directory: its file, its plugins, and whether they support
 * its version. With `allowedPlugins`, definitions may use only a few IPAM plugins, and
 * a definition like the node's own networks would be refused (configuration.md).
 */
import type { NetworkConfigList } from "../../cni/conflist.ts";
import { executedTypes } from "../../cni/executable-types.ts";
import { validateNetwork } from "../../cni/network.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import type { Candidate, Networks } from "../../select/node-networks.ts";
import { recordDirectory } from "../../state/record-directory.ts";
import { versionsOf } from "../node/plugin-versions.ts";
import { type Check, type Node, fail, named, ok, warn } from "./check.ts";

export const checkNetworks: Check = async (node) => {
  const { networks } = node;
  const asked = new Map<string, Promise<readonly string[]>>();
  const findings = networks.invalid.map(({ file, problem }) =>
    named(
      `network ${file}`,
      fail(problem, "correct or remove the file: no pod can choose it"),
    ),
  );
  for (const { file, key, list } of networks.candidates) {
    const problem = await networkProblem(list, node, asked);
    const types = list.plugins.map(({ type }) => type).join(", ");
    const outcome =
      problem === undefined
        ? ok(`${file}: version ${list.cniVersion}, plugins ${types}`)
        : fail(
            `${file}: ${problem}`,
            `install the missing plugins into ${node.path.join(" or ")}, or correct ${file}`,
          );
    findings.push(named(`network ${key}`, outcome));
  }
  return findings;
};

/** VERSION of each plugin type, called once. */
async function networkProblem(
  list: NetworkConfigList,
  { host, path, searched, terminal }: Node,
  asked: Map<string, Promise<readonly string[]>>,
): Promise<string | undefined> {
  try {
    validateNetwork(list, searched, undefined);
    for (const { type } of list.plugins) {
      const pending =
        asked.get(type) ??
        versionsOf({ type, directories: path }, host, terminal);
      asked.set(type, pending);
      const versions = await pending;
      if (!versions.includes(list.cniVersion))
        return `plugin ${quote(type)} does not support version ${list.cniVersion}, only ${versions.join(", ")}`;
    }
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/**
 * Two files with one file key: the first wins, but the other may be the intended
 * one (Cilium leaves `05-cilium.conf` beside `05-cilium.conflist`).
 */
export const checkSameNames: Check = ({ networks }) => [
  ...sharedBy(networks, ({ key }) => key).map(
    ([key, [first = "", ...others]]) =>
      named(
        `network ${key}`,
        warn(
          `pods that choose ${quote(key)} get ${first}: it comes before ${others.join(", ")}, whose file key is the same`,
          `remove the file that is left over, or rename ${others.length === 1 ? "one of them" : "all but one"}`,
        ),
      ),
  ),
  ...sharedBy(networks, ({ list }) => list.name).map(([name, files]) =>
    named(
      "network names",
      warn(
        `${files.join(" and ")} have the same "name", ${quote(name)}: plugins keep addresses by it, and runtimes know the first one only`,
        "remove the file that is left over, or give each network a name of its own",
      ),
    ),
  ),
];

/**
 * A mesh adds its plugin to a network's file, and again to ours once genie is
 * installed: it would be executed twice for a pod of that network.
 */
export const checkChainedTwice: Check = ({ ours, networks }) =>
  (ours?.list.plugins ?? []).flatMap(({ type }) => {
    const files = networks.candidates
      .filter(({ list }) => list.plugins.some((plugin) => plugin.type === type))
      .map(({ file }) => file)
      .join(", ");
    return files === ""
      ? []
      : warn(
          `plugin ${quote(type)} is in ${ours?.file} and in ${files}: pods of that network get it twice`,
          `remove it from ${files}`,
        );
  });

/** Texts that several files share, with their files in order. */
function sharedBy(
  { candidates }: Networks,
  textOf: (candidate: Candidate) => string,
): [text: string, files: string[]][] {
  const groups = Map.groupBy(candidates, textOf);
  return [...groups]
    .filter(([text, group]) => text !== "" && group.length > 1)
    .map(([text, group]) => [text, group.map(({ file }) => file)]);
}

export const checkAllowedIpams: Check = async (node) => {
  const { allowedPlugins, allowedIpams } = node.config ?? {};
  if (!allowedPlugins || !allowedIpams) return [];
  const allowed = new Set([...allowedIpams, ...allowedPlugins]);
  return [...(await usersOf(node))]
    .filter(([type]) => !allowed.has(type))
    .map(([type, users]) =>
      warn(
        `${[...users].join(", ")} ${users.size === 1 ? "uses" : "use"} IPAM ${quote(type)}, which is outside of allowedIpams (${allowedIpams.join(", ") || "none"}): definitions with it are refused`,
        `add ${quote(type)} to allowedIpams, if definitions may use it`,
      ),
    );
};

/** Type → the networks of the node and the recorded definitions that use it. */
async function usersOf({
  networks,
  context,
}: Node): Promise<Map<string, Set<string>>> {
  const users = new Map<string, Set<string>>();
  const add = ({ plugins }: NetworkConfigList, user: string) => {
    for (const { type, isIpam } of executedTypes(plugins))
      if (isIpam) users.set(type, (users.get(type) ?? new Set()).add(user));
  };
  for (const { list, file } of networks.candidates)
    add(list, `network ${file}`);
  for await (const { record } of context ? recordDirectory(context).all() : [])
    for (const { list, definition } of record?.attachments ?? [])
      if (definition !== undefined) add(list, `definition ${definition}`);
  return users;
}
