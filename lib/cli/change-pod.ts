/**
 * `genie change-pod`, which only the agent calls: one change of a running pod's networks,
 * a JSON request on stdin, a JSON outcome on stdout (agent.md). The record is named, so
 * nothing is searched.
 */
import * as v from "valibot";
import {
  type Change,
  attachNetwork,
  detachNetwork,
} from "../attach/change-pod.ts";
import type { Context } from "../attach/context.ts";
import { LeftAlone } from "../attach/running-pod.ts";
import { CniError } from "../cni/error.ts";
import { parseJson } from "../cni/json.ts";
import { object, parse } from "../cni/schema.ts";
import { readStdin } from "../linux/stdio.ts";
import type { Command } from "./command.ts";
import { directoriesOf, directoryOptions, nodeContext } from "./node.ts";

const request = object({
  verb: v.picklist(["attach", "detach"]),
  /** Of the record. */
  containerId: v.string(),
  ifname: v.string(),
  /** The interface to detach, or to attach if the element names none. */
  interface: v.string(),
  /** To attach, as `genie attach` reads it. */
  network: v.string(),
});

export type ChangeRequest = v.InferOutput<typeof request>;

/** What the agent does with it: "left alone" is no failure. */
export type ChangeOutcome =
  | Change
  | { outcome: "left alone"; why: string }
  | { outcome: "failed"; code: number; why: string };

export const changePod: Command = {
  options: directoryOptions,
  async run(input, { env, stdout }) {
    const text = new TextDecoder().decode(readStdin());
    const asked = parse(
      request,
      parseJson(text),
      (problem) => new Error(problem),
    );
    const node = nodeContext(directoriesOf(input), env, {
      request: { command: asked.verb === "attach" ? "ADD" : "DEL" },
    });
    const outcome = await outcomeOf(() => change(node, asked));
    await stdout(`${JSON.stringify(outcome)}\n`);
    return 0;
  },
};

function change(node: Context, asked: ChangeRequest): Promise<Change> {
  const { containerId, ifname } = asked;
  const pod = { containerId, ifname };
  return asked.verb === "attach"
    ? attachNetwork(node, pod, {
        network: asked.network,
        ifname: asked.interface,
      })
    : detachNetwork(node, pod, asked.interface, { byAgent: true });
}

async function outcomeOf(work: () => Promise<Change>): Promise<ChangeOutcome> {
  try {
    return await work();
  } catch (cause) {
    const { code, message, details } = CniError.from(cause);
    const why = details ? `${message}; ${details}` : message;
    return cause instanceof LeftAlone
      ? { outcome: "left alone", why }
      : { outcome: "failed", code, why };
  }
}
