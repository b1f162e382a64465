/**
 * The networks that the node chooses itself: those of `automatic`, and the auxiliary
 * chain of every pod (selection.md §10, §11).
 */
import { readTraffic } from "../../attach/automatic.ts";
import { auxiliaryList } from "../../attach/auxiliary-chain.ts";
import { validateNetwork } from "../../cni/network.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import { candidateNamed } from "../../select/choice.ts";
import { ownTypes } from "../../select/node-networks.ts";
import type { Check, Finding, Node } from "./check.ts";

export const checkAutomatic: Check = (node) => {
  const { config, networks, host, path } = node;
  if (!config?.automatic) return [];
  const { networks: names } = config.automatic;
  const source = 'configuration key "automatic"';
  const problems = names.flatMap((name) => {
    try {
      const { list } = candidateNamed(name, source, config, networks);
      const directories = path.map((directory) => host.path(directory));
      validateNetwork(list, directories, undefined);
      return [];
    } catch (error) {
      return [messageOf(error)];
    }
  });
  // If none is left, pods with a blank cni fail.
  const verdict = problems.length === names.length ? "fail" : "warn";
  const missing = problems.map((problem): Finding => ({
    check: "automatic",
    verdict,
    found: `${problem}: automatic choice passes it over`,
    advice: "correct the key automatic, or install what is missing",
  }));
  return [...missing, ...sampleFindings(node)];
};

function sampleFindings({ config, context }: Node): Finding[] {
  if (config?.automatic?.by !== "traffic" || !context) return [];
  if (readTraffic(context)) return [];
  return [
    {
      check: "automatic",
      verdict: "warn",
      found:
        "no sample of the traffic in the last minute: automatic choice counts attachments",
      advice: "run genie agent --load on this node",
    },
  ];
}

export const checkAuxiliaryChain: Check = ({
  config,
  directories,
  host,
  path,
}) => {
  const name = config?.auxiliaryChain;
  if (!config || name === undefined) return [];
  const check = "auxiliary chain";
  const confDir = host.path(directories.confDir);
  try {
    const list = auxiliaryList(confDir, name, ownTypes(config));
    if (!list)
      return [
        {
          check,
          verdict: "skip",
          found: `${directories.confDir}/${name} has no configuration`,
        },
      ];
    const searched = path.map((directory) => host.path(directory));
    validateNetwork(list, searched, undefined);
    const types = list.plugins.map(({ type }) => quote(type)).join(", ");
    return [{ check, verdict: "ok", found: `executes ${types} for every pod` }];
  } catch (error) {
    const found = `${messageOf(error)}: every pod fails`;
    const advice = `correct ${directories.confDir}/${name}, or remove the key auxiliaryChain`;
    return [{ check, verdict: "fail", found, advice }];
  }
};
