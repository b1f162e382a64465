/** Whether the API server responds for one kind of object, and the log lines about it. */
import { apiProblem } from "../../kube/typed-api.ts";
import { monotonicMs } from "../../linux/deadline.ts";
import type { Fields, Level } from "../../state/log-level.ts";
import { isAway } from "./api-response.ts";

/**
 * "current": an event, a bookmark or a LIST within 90 s. "away": the API server cannot be
 * reached (refused, no response, 5xx). "refused": any other failure, such as 401 and 403.
 */
export type WatchState = "starting" | "current" | "away" | "refused";

export class WatchedServer {
  /** Failures in a row, for the pause after them. */
  failures = 0;
  readonly #name: string;
  readonly #log: (level: Level, message: string, fields?: Fields) => void;
  readonly #currentMs: number;
  #heardMs: number | undefined;
  #failure: "away" | "refused" | undefined;
  /** The problem in the log: one line for each. */
  #logged = "";

  /** `name` is the kind's, `currentMs` the time for which a response counts. */
  constructor(
    name: string,
    log: (level: Level, message: string, fields?: Fields) => void,
    currentMs: number,
  ) {
    this.#name = name;
    this.#log = log;
    this.#currentMs = currentMs;
  }

  state(): WatchState {
    if (this.#failure) return this.#failure;
    return this.#heardMs === undefined || this.isStale ? "starting" : "current";
  }

  /** Whether the last response is too old to resume a watch; not before the first. */
  get isStale(): boolean {
    return (
      this.#heardMs !== undefined &&
      monotonicMs() - this.#heardMs >= this.#currentMs
    );
  }

  /** It accepts requests again. */
  reached(): void {
    this.#failure = undefined;
    if (this.#logged !== "") this.#log("info", `watching ${this.#name} again`);
    this.#logged = "";
  }

  /** A LIST, or a sign of life of a watch: what is known of the objects is current. */
  responded(): void {
    this.reached();
    this.#heardMs = monotonicMs();
    this.failures = 0;
  }

  failed(error: unknown): void {
    this.failures++;
    this.#failure = isAway(error) ? "away" : "refused";
    const problem = apiProblem(error);
    if (problem !== this.#logged)
      this.#log("warn", `failed to watch ${this.#name}`, { error: problem });
    this.#logged = problem;
  }
}
