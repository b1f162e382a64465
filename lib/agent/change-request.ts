/**
 * One change of a pod's networks by the installed genie: the request and its outcome, as
 * `genie change-pod` has them.
 */
import { isObject, own, parseJson } from "../cni/json.ts";
import { messageOf } from "../linux/errno.ts";
import type { Agent } from "./part.ts";

export interface ChangeRequest {
  verb: "attach" | "detach" | "check" | "repair";
  /** Of the record. */
  containerId: string;
  ifname: string;
  /** Of the attachment. */
  interface?: string;
  network?: string;
}

export interface ChangeOutcome {
  /** "failed": also if genie could not be executed. */
  outcome: string;
  /** Why it failed or the pod was left alone. */
  why: string;
  /** Other keys of the outcome. */
  answer: Readonly<Record<string, unknown>>;
}

/** Never throws. */
export async function requestChange(
  { genie }: Pick<Agent, "genie">,
  request: ChangeRequest,
): Promise<ChangeOutcome> {
  try {
    const stdin = JSON.stringify(request);
    const { code, stdout, stderr } = await genie(["change-pod"], { stdin });
    if (code !== 0) return failed(stderr.trim() || `exit code ${code}`);
    const answer = parseJson(stdout);
    const outcome = own(answer, "outcome");
    const why = own(answer, "why");
    if (!isObject(answer) || typeof outcome !== "string")
      return failed("genie of another version is installed");
    return { outcome, why: typeof why === "string" ? why : "", answer };
  } catch (error) {
    return failed(messageOf(error));
  }
}

function failed(why: string): ChangeOutcome {
  return { outcome: "failed", why, answer: {} };
}
