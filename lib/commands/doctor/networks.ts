/**
 * Each network of the folder: its file, its plugins, and whether they speak its
 * version.
 */
import { messageOf, quote } from "../../cni/error.ts";
import { requirePlugins } from "../default-network.ts";
import { versionsOf } from "../plugin-versions.ts";
import type { Check, Finding, Node } from "./check.ts";

export const checkNetworks: Check = async (node) => {
  const { networks } = node;
  const asked = new Map<string, Promise<readonly string[]>>();
  const findings: Finding[] = networks.invalid.map(({ file, problem }) => ({
    check: `network ${file}`,
    verdict: "fail",
    found: problem,
    advice: "correct or remove the file: no pod can choose it",
  }));
  for (const { file, key, list } of networks.candidates) {
    const check = `network ${key}`;
    const problem = await problemOf(list, node, asked);
    const types = list.plugins.map(({ type }) => type).join(", ");
    findings.push(
      problem === undefined
        ? {
            check,
            verdict: "ok",
            found: `${file}: version ${list.cniVersion}, plugins ${types}`,
          }
        : {
            check,
            verdict: "fail",
            found: `${file}: ${problem}`,
            advice: `install what is missing into ${node.path.join(" or ")}, or correct ${file}`,
          },
    );
  }
  return findings;
};

/** VERSION of each plugin, once for each type. */
async function problemOf(
  list: Node["networks"]["candidates"][number]["list"],
  { host, path, terminal }: Node,
  asked: Map<string, Promise<readonly string[]>>,
): Promise<string | undefined> {
  try {
    requirePlugins(
      list,
      path.map((folder) => host.path(folder)),
    );
    for (const { type } of list.plugins) {
      const answer =
        asked.get(type) ?? versionsOf({ type, folders: path }, host, terminal);
      asked.set(type, answer);
      const versions = await answer;
      if (!versions.includes(list.cniVersion))
        return `plugin ${quote(type)} does not speak version ${list.cniVersion}, only ${versions.join(", ")}`;
    }
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
