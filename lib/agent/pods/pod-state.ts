/**
 * The state of one pod for the part `--attach`: the time of the next look, the input of the
 * last comparison, the events that were sent. Lost when this process ends: records and
 * annotations say it all again.
 */
import type { V1Pod } from "@kubernetes/client-node";
import { own } from "../../cni/json.ts";
import { monotonicMs } from "../../linux/deadline.ts";
import { networkAnnotations } from "../../select/attachment.ts";
import { TokenBucket } from "../timing.ts";
import type { IndexedRecord } from "../record-index.ts";
import { Retries } from "../retries.ts";

export class PodState {
  /** When the pod is looked at next, by the monotonic clock. */
  dueAt = 0;
  readonly retries = new Retries();
  /** The input of the last comparison. */
  #input = "";
  /** For looks and steps: the author of one pod must not keep the node and the API server busy. */
  readonly #bucket = new TokenBucket(64, 2000);
  /** Events for the present input, and for the one before, by reason and text. */
  #told = new Set<string>();
  #toldBefore: ReadonlySet<string> = new Set();

  /** The pod is looked at after `ms` milliseconds, unless it is looked at before. */
  dueAfter(ms: number): void {
    this.dueAt = Math.min(this.dueAt, monotonicMs() + ms);
  }

  /** Whether to compare the pod now: its input is new, or a retry is due, and there is a token. */
  beginsLook(input: string): boolean {
    if (input === this.#input && this.retries.nextMs() > 0) return false;
    const waitMs = this.#bucket.waitMs(monotonicMs());
    if (waitMs > 0) this.dueAfter(waitMs);
    else this.takeToken();
    return waitMs === 0;
  }

  /** For a look, or a step. */
  takeToken(): void {
    this.#bucket.take(monotonicMs());
  }

  /** Nothing is done until the input changes or a retry is due. */
  hasCompared(input: string): void {
    if (input === this.#input) return;
    this.#input = input;
    this.#toldBefore = this.#told;
    this.#told = new Set();
  }

  /** Something beside the input has changed: it counts as new, and failed steps are due. */
  compareAgain(): void {
    this.#input = "";
    this.retries.hurry();
  }

  /** Whether an event is still to be written: once while it is true. */
  isNews(reason: string, message: string): boolean {
    const key = `${reason} ${message}`;
    const isKnown = this.#told.has(key) || this.#toldBefore.has(key);
    this.#told.add(key);
    return !isKnown;
  }
}

/** Everything that a comparison depends on, as far as it changes without the agent. */
export function inputOf(
  { metadata }: V1Pod,
  { containerId, version }: IndexedRecord,
): string {
  const texts = networkAnnotations.map((key) =>
    own(metadata?.annotations, key),
  );
  return JSON.stringify([containerId, version, ...texts]);
}
