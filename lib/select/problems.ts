/**
 * Many problems in one message: nothing that a pod's author writes may make a
 * message longer than a runtime and the kubelet can log (selection.md §6).
 */
import { isLonger } from "../cni/text.ts";

/** Bytes of one message, at most. */
const maxBytes = 8 << 10;

/** The problems, separated by commas; those beyond 8 KiB are only counted. */
export function joinProblems(problems: Iterable<string>): string {
  let joined = "";
  let left = 0;
  for (const problem of problems) {
    const longer = joined === "" ? problem : `${joined}, ${problem}`;
    if (left > 0 || isLonger(longer, maxBytes)) left++;
    else joined = longer;
  }
  return left === 0 ? joined : `${joined}, and ${left} more`;
}
