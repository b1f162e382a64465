/**
 * The networks that the node chooses itself: those of `automatic`, and the auxiliary
 * chain of every pod (selection.md §10, §11).
 */
import { readTraffic } from "../../attach/choice/automatic.ts";
import { auxiliaryList } from "../../attach/choice/auxiliary-chain.ts";
import { validateNetwork } from "../../cni/network.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import { candidateNamed } from "../../select/named-network.ts";
import { ownTypes } from "../../select/node-networks.ts";
import { problemOf } from "../node/attempt.ts";
import { type Check, type Node, fail, ok, skip, warn } from "./check.ts";

export const checkAutomatic: Check = (node) => {
  const { config, networks, searched } = node;
  if (!config?.automatic) return [];
  const { networks: names } = config.automatic;
  const source = 'configuration key "automatic"';
  const problems = names.flatMap((name) => {
    const problem = problemOf(() => {
      const { list } = candidateNamed(name, source, config, networks);
      validateNetwork(list, searched, undefined);
    });
    return problem ?? [];
  });
  // If none is left, pods with a blank cni fail.
  const outcome = problems.length === names.length ? fail : warn;
  const findings = problems.map((problem) =>
    outcome(
      `${problem}: automatic choice passes it over`,
      "correct the key automatic, or install what is missing",
    ),
  );
  if (lacksSample(node))
    findings.push(
      warn(
        "no sample of the traffic in the last minute: automatic choice counts attachments",
        "run genie agent --load on this node",
      ),
    );
  return findings;
};

function lacksSample({ config, context }: Node): boolean {
  return (
    config?.automatic?.by === "traffic" &&
    context !== undefined &&
    !readTraffic(context)
  );
}

export const checkAuxiliaryChain: Check = ({
  config,
  directories,
  host,
  searched,
}) => {
  const name = config?.auxiliaryChain;
  if (!config || name === undefined) return [];
  const confDir = host.path(directories.confDir);
  try {
    const list = auxiliaryList(confDir, name, ownTypes(config));
    if (!list)
      return skip(`${directories.confDir}/${name} has no configuration`);
    validateNetwork(list, searched, undefined);
    const types = list.plugins.map(({ type }) => quote(type)).join(", ");
    return ok(`executes ${types} for every pod`);
  } catch (error) {
    const found = `${messageOf(error)}: every pod fails`;
    const advice = `correct ${directories.confDir}/${name}, or remove the key auxiliaryChain`;
    return fail(found, advice);
  }
};
