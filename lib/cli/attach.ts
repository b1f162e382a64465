/**
 * `genie attach POD NETWORK` and `genie detach POD IFNAME`: a network of a running pod,
 * by hand (agent.md). POD is known by its record, so a network of the node needs no API
 * server; it only gets the pod's new status.
 */
import { attachNetwork } from "../attach/running/attach-network.ts";
import { detachNetwork } from "../attach/running/detach-network.ts";
import type { Change } from "../attach/running/pod-change.ts";
import { ifnameProblem } from "../cni/identifiers.ts";
import { CniError } from "../cni/error.ts";
import { quote } from "../linux/text.ts";
import type { Command } from "./command/command.ts";
import { type Input, UsageError } from "./command/input.ts";
import { type Options, optionsOf } from "./command/options.ts";
import { outputOption, structured } from "./command/output.ts";
import { directoryOptions } from "./node/directories.ts";
import { contextOf } from "./node/node-context.ts";
import { parsePodOperand } from "./pods/pod-operand.ts";

const options: Options = {
  ...optionsOf({
    "-n, --namespace NS": "namespace of the pod (default default)",
  }),
  output: outputOption("text", "json"),
  ...directoryOptions,
};

export const attach: Command = {
  operand: { name: "POD" },
  secondOperand: { name: "NETWORK" },
  about: `The pod must run on this node, with an attachment record (genie list). The agent does not detach
what was attached by hand.

  genie attach web weave -n shop                     a network of the node
  genie attach shop/web weave@eth3                   on this interface
  genie attach shop/web infra/storage@net3           a NetworkAttachmentDefinition
  genie attach shop/web '{"name":"storage","ips":["10.1.1.9/24"]}'
                                                     an element of k8s.v1.cni.cncf.io/networks`,
  options,
  async run(input, { env, stdout }) {
    const node = contextOf(input, env, { command: "ADD" });
    const change = await withDetails(
      attachNetwork(node, podSelector(input), {
        network: input.secondOperand ?? "",
        byHand: true,
      }),
    );
    await stdout(changeText(change, input));
    return 0;
  },
};

export const detach: Command = {
  operand: { name: "POD" },
  secondOperand: { name: "IFNAME" },
  about: `Deletes the attachment as the record has it. The pod's primary interface cannot be detached. If an
annotation of the pod names the network, the agent (--attach) attaches it again.

  genie detach web net3 -n shop`,
  options,
  async run(input, { env, stdout }) {
    const node = contextOf(input, env);
    const ifname = input.secondOperand ?? "";
    const problem = ifnameProblem(ifname);
    if (problem)
      throw new UsageError(
        `invalid interface name ${quote(ifname)}: ${problem.msg}`,
      );
    const change = await withDetails(
      detachNetwork(node, podSelector(input), ifname),
    );
    await stdout(changeText(change, input));
    return 0;
  },
};

/** The details of an error are a part of its message: a plugin explains its failure there. */
async function withDetails(change: Promise<Change>): Promise<Change> {
  try {
    return await change;
  } catch (cause) {
    throw new Error(CniError.from(cause).toText(), { cause });
  }
}

function podSelector(input: Input): { namespace: string; name: string } {
  const { operand = "" } = input;
  const namespaceOption = input.text("namespace");
  const {
    kind = "Pod",
    namespace = "default",
    name,
  } = parsePodOperand(operand, namespaceOption);
  if (kind === "Pod") return { namespace, name };
  throw new UsageError(`expected a pod, got ${quote(operand)}`);
}

function changeText(change: Change, input: Input): string {
  const json = structured(change, input.text("output"));
  if (json !== undefined) return json;
  const { outcome, pod, ifname, network, ips = [] } = change;
  const subject = `pod ${pod?.namespace}/${pod?.name}`;
  const what = [network, ...ips].join(" ");
  const texts = {
    attached: `attached ${ifname} to ${subject}: ${what}`,
    present: `${subject} has ${network} already: ${[ifname, ...ips].join(" ")}`,
    detached: `detached ${ifname} from ${subject}: ${what}`,
    repaired: `repaired ${ifname} of ${subject}: ${what}`,
    absent: `${subject} has no interface ${ifname}: nothing to detach`,
  };
  return `${texts[outcome]}\n`;
}
