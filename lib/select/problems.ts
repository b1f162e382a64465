/**
 * Many problems in one message. No pod's author may make a message longer than
 * runtimes and the kubelet log (selection.md §6).
 */
import { cut, isLonger } from "../linux/text.ts";

/** 8 KiB with the words around them. */
const messageBytes = 8000;

/** The texts separated by commas; ends with "and more" where that would become longer, and asks for no further texts. */
export function joined(
  texts: Iterable<string>,
  maxBytes = messageBytes,
): string {
  let list = "";
  for (const text of texts) {
    const longer = list === "" ? text : `${list}, ${text}`;
    if (isLonger(longer, maxBytes))
      // One text may be as long by itself: its beginning can be corrected first.
      return list === "" ? cut(text, maxBytes) : `${list}, and more`;
    list = longer;
  }
  return list;
}
