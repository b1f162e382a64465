/** The responses of a LIST and a WATCH: failures, and the lines of events. */
import { passingText, statusText } from "../kube/api-error.ts";
import { Unreachable, isTimeout } from "../kube/typed-api.ts";
import { errnoOf } from "../linux/errno.ts";

/** A response that is no success. */
export class ResponseError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(statusText(status));
    this.status = status;
  }
}

/** ListWatch lists again after an error with this code. */
export const listAgain = Object.assign(new Error("the watch is too old"), {
  code: 410,
});

/** Characters of one event: an object has at most 1.5 MiB. */
const longestLine = 16 << 20;

/** Whether the API server cannot be reached: no response, 429 or 5xx. */
export function isAway(error: unknown): boolean {
  if (error instanceof Unreachable) return error.isAway;
  if (error instanceof ResponseError)
    return error.status >= 500 || error.status === 429;
  return isTimeout(error) || passingText(errnoOf(error)) !== undefined;
}

/** The lines of a response while it is open. */
export async function* linesOf(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  const body: ReadableStream<Uint8Array> | null = response.body;
  for await (const chunk of body ?? []) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    yield* lines.filter((line) => line !== "");
    if (rest.length > longestLine)
      throw new Error(`an event is larger than ${longestLine >> 20} MiB`);
  }
}
