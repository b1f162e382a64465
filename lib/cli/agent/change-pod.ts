/**
 * `genie change-pod`, which only the agent calls: one change of a running pod's networks,
 * a JSON request on stdin, a JSON outcome on stdout (agent.md). The request names the
 * record.
 */
import {
  type ChangeRequest,
  changeRequest,
} from "../../agent/pods/change-request.ts";
import type { Context } from "../../attach/context.ts";
import { attachNetwork } from "../../attach/running/attach-network.ts";
import { detachNetwork } from "../../attach/running/detach-network.ts";
import type { Change } from "../../attach/running/pod-change.ts";
import {
  type CheckedAttachment,
  checkAttachments,
  repairNetwork,
} from "../../attach/running/repair-network.ts";
import { NotChangeable } from "../../attach/running/running-pod.ts";
import { CniError } from "../../cni/error.ts";
import { parseJson } from "../../cni/json.ts";
import { parse } from "../../cni/schema.ts";
import { readStdin } from "../../linux/stdio.ts";
import type { Command } from "../command/command.ts";
import { directoryOptions } from "../node/directories.ts";
import { contextOf } from "../node/node-context.ts";

/** The JSON on stdout; the agent reads the keys that it knows (change-request.ts). */
type PrintedOutcome =
  | Change
  | { outcome: "checked"; attachments: CheckedAttachment[] }
  | { outcome: "left alone"; why: string }
  | { outcome: "failed"; code: number; why: string };

export const changePod: Command = {
  options: directoryOptions,
  async run(input, { env, stdout }) {
    const text = new TextDecoder().decode(readStdin());
    const asked = parse(changeRequest, parseJson(text), Error);
    const handler = handlers[asked.verb];
    const node = contextOf(input, env, { command: handler.command });
    const outcome = await outcomeOf(() => handler.run(node, asked, asked));
    await stdout(`${JSON.stringify(outcome)}\n`);
    return 0;
  },
};

interface Handler {
  /** A wrong configuration stops an ADD only. */
  command: "ADD" | "DEL" | "CHECK";
  run(
    node: Context,
    pod: { containerId: string; ifname: string },
    request: ChangeRequest,
  ): Promise<PrintedOutcome>;
}

const handlers: Readonly<Record<ChangeRequest["verb"], Handler>> = {
  attach: {
    command: "ADD",
    run: (node, pod, { network = "", interface: ifname }) =>
      attachNetwork(node, pod, { network, ifname }),
  },
  detach: {
    command: "DEL",
    run: (node, pod, { interface: ifname = "" }) =>
      detachNetwork(node, pod, ifname, { byAgent: true }),
  },
  check: {
    command: "CHECK",
    run: async (node, pod) => ({
      outcome: "checked",
      attachments: await checkAttachments(node, pod),
    }),
  },
  repair: {
    command: "ADD",
    run: (node, pod, { interface: ifname = "" }) =>
      repairNetwork(node, pod, ifname),
  },
};

async function outcomeOf(
  work: () => Promise<PrintedOutcome>,
): Promise<PrintedOutcome> {
  try {
    return await work();
  } catch (cause) {
    const error = CniError.from(cause);
    const { code } = error;
    const why = error.toText();
    return cause instanceof NotChangeable
      ? { outcome: "left alone", why }
      : { outcome: "failed", code, why };
  }
}
