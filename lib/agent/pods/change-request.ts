/**
 * One change of a pod's networks by the installed genie: the request and its outcome, as
 * `genie change-pod` has them.
 */
import * as v from "valibot";
import { parseJson } from "../../cni/json.ts";
import { object, parse } from "../../cni/schema.ts";
import { messageOf } from "../../linux/errno.ts";
import type { Agent } from "../part.ts";

export const changeRequest = object({
  verb: v.picklist(["attach", "detach", "check", "repair"]),
  /** Container and interface identify the record. */
  containerId: v.string(),
  ifname: v.string(),
  /** The interface to detach or to repair, or to attach if the element names none. */
  interface: v.exactOptional(v.string()),
  /** The network to attach, as an argument of `genie attach`. */
  network: v.exactOptional(v.string()),
});

export type ChangeRequest = v.InferOutput<typeof changeRequest>;

const outcome = object({
  /**
   * That of a change, "checked", "left alone", which is no failure, or "failed", also if
   * genie could not be executed.
   */
  outcome: v.string(),
  /** Why it failed or the pod was left alone. */
  why: v.exactOptional(v.string()),
  /** The addresses of a new attachment. */
  ips: v.exactOptional(v.array(v.string())),
  /** Present if the outcome is "checked". */
  attachments: v.exactOptional(
    v.array(
      object({
        /** Another one after each ADD. */
        id: v.string(),
        ifname: v.string(),
        network: v.string(),
        primary: v.boolean(),
        outcome: v.string(),
        why: v.exactOptional(v.string()),
      }),
    ),
  ),
});

type ChangeOutcome = v.InferOutput<typeof outcome>;

/** Never throws. */
export async function requestChange(
  { genie }: Pick<Agent, "genie">,
  request: ChangeRequest,
): Promise<ChangeOutcome> {
  try {
    const stdin = JSON.stringify(request);
    const { code, stdout, stderr } = await genie(["change-pod"], { stdin });
    if (code !== 0) throw new Error(stderr.trim() || `exit code ${code}`);
    return parse(
      outcome,
      parseJson(stdout),
      (problem) =>
        new Error(`genie of another version is installed: ${problem}`),
    );
  } catch (error) {
    return { outcome: "failed", why: messageOf(error) };
  }
}
