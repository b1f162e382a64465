/**
 * Several problems in one message. The author of a pod must not be able to make
 * longer messages than runtimes and the kubelet log (selection.md §6).
 */
import { cut, isLonger } from "../linux/text.ts";

/** Leaves room for the rest of a message of 8 KiB. */
const messageBytes = 8000;

/**
 * The texts separated by commas; ends with "and more" at the limit, and evaluates
 * no further texts.
 */
export function joined(
  texts: Iterable<string>,
  maxBytes = messageBytes,
): string {
  let list = "";
  for (const text of texts) {
    const longer = list === "" ? text : `${list}, ${text}`;
    if (isLonger(longer, maxBytes))
      // A single text may be longer: its beginning is enough to correct it.
      return list === "" ? cut(text, maxBytes) : `${list}, and more`;
    list = longer;
  }
  return list;
}
