/**
 * Many problems in one message. Nothing that a pod's author writes may make a
 * message longer than what runtimes and the kubelet log (selection.md §6).
 */
import { isLonger } from "../cni/text.ts";

/** Bytes of all problems together: 8 KiB with the words around them. */
const messageBytes = 8000;

/** A comma-separated list that ends with "and more" where it would become longer than 8 KiB. */
export class Problems {
  readonly #maxBytes: number;
  #text = "";
  #isFull = false;

  constructor(maxBytes = messageBytes) {
    this.#maxBytes = maxBytes;
  }

  /** Whether there is room for more: if not, there is no reason to look for them. */
  add(problem: string): boolean {
    if (this.#isFull) return false;
    const longer = this.#text === "" ? problem : `${this.#text}, ${problem}`;
    this.#isFull = isLonger(longer, this.#maxBytes);
    if (!this.#isFull) this.#text = longer;
    else this.#text += this.#text === "" ? "too many problems" : ", and more";
    return !this.#isFull;
  }

  /** "" for no problem. */
  get text(): string {
    return this.#text;
  }
}

/** The texts as one list of so many bytes. */
export function joined(texts: Iterable<string>, maxBytes?: number): string {
  const problems = new Problems(maxBytes);
  for (const text of texts) problems.add(text);
  return problems.text;
}
