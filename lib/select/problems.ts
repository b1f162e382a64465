/**
 * Many problems in one message. Nothing that a pod's author writes may make a
 * message longer than what runtimes and the kubelet log (selection.md §6).
 */
import { cut, isLonger } from "../linux/text.ts";

/** Bytes of all problems together: 8 KiB with the words around them. */
const messageBytes = 8000;

/** A comma-separated list that ends with "and more" where it would become longer. */
export interface ProblemList {
  /** Whether there is room for more: if not, there is no reason to look for them. */
  add(problem: string): boolean;
  /** "" for no problem. */
  readonly text: string;
}

export function problemList(maxBytes = messageBytes): ProblemList {
  let text = "";
  let isFull = false;
  return {
    add(problem) {
      if (isFull) return false;
      const longer = text === "" ? problem : `${text}, ${problem}`;
      isFull = isLonger(longer, maxBytes);
      if (!isFull) text = longer;
      // One alone may be a list that is as long; its beginning is what can be mended first.
      else text = text === "" ? cut(problem, maxBytes) : `${text}, and more`;
      return !isFull;
    },
    get text() {
      return text;
    },
  };
}

/** The texts as one list of so many bytes. */
export function joined(texts: Iterable<string>, maxBytes?: number): string {
  const problems = problemList(maxBytes);
  for (const text of texts) problems.add(text);
  return problems.text;
}
