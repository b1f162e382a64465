/** Responses of the API server: which are a failure, and the lines of a watch. */
import { passingText, statusText } from "../../kube/api-error.ts";
import { Unreachable, isTimeout } from "../../kube/typed-api.ts";
import { errnoOf } from "../../linux/errno.ts";

/** A response that is no success. */
export class ResponseError extends Error {
  readonly status: number;

  /** `action` is what failed: `get node "n1"`. */
  constructor(status: number, action?: string) {
    const text = statusText(status);
    super(action === undefined ? text : `failed to ${action}: ${text}`);
    this.status = status;
  }
}

/** The response of a success. Throws the error of another one, whose body is not read. */
export async function requireSuccess(
  response: Response,
  errorOf = (status: number): Error => new ResponseError(status),
): Promise<Response> {
  if (response.ok) return response;
  await response.body?.cancel();
  throw errorOf(response.status);
}

/** ListWatch lists again after an error with this code. */
export const listAgain = Object.assign(new Error("the watch is too old"), {
  code: 410,
});

/** Of a LIST, a WATCH, and an event in it. */
export function watchError(status: number): Error {
  return status === 410 ? listAgain : new ResponseError(status);
}

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
