/**
 * Many problems in one message. Nothing that a pod's author writes may make a
 * message longer than what runtimes and the kubelet log (selection.md §6).
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
      // One alone may be a list that is as long; its beginning is what can be mended first.
      return list === "" ? cut(text, maxBytes) : `${list}, and more`;
    list = longer;
  }
  return list;
}
