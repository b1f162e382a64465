/**
 * One call of the API server: tries within a time budget, what is tried again
 * and after which pause (selection.md §1). How one is sent is `http`'s matter.
 */
import { type Deadline, monotonicMs } from "../linux/deadline.ts";
import { errnoOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import type { Access } from "./access.ts";
import type { Credential } from "./credential.ts";
import { ApiError, type Failure, connectionFailure } from "./api-error.ts";
import type { HttpRequest, Send } from "./http.ts";
import { type HttpResponse, bodyLimit } from "./http-response.ts";
import type { Subject } from "./refusal.ts";
import type { Session } from "./session.ts";

export interface Call extends HttpRequest {
  /** For messages: `get pod "ns/name"`. */
  action(): string;
  subject: Subject;
}

/** The seams of a call. */
export interface Wire {
  send: Send;
  sleep(ms: number): Promise<void>;
  /** 0 ≤ x < 1 */
  random(): number;
  /** A signal that is aborted after so many milliseconds. */
  timeout(ms: number): AbortSignal;
  now(): Date;
  /** Called whenever a try has ended, for a log. Must not throw. */
  tried?: ((one: Try) => void) | undefined;
}

/** One request as it was sent, and how it ended. Holds no secret: the path is of names only. */
export interface Try {
  method: string;
  path: string;
  /** Undefined when no response could be read. */
  status?: number;
  /** Of a try that failed. */
  problem?: string;
  ms: number;
}

/** Milliseconds: of one try, of the first pause and of the longest. */
const tryLimit = 3000;
const firstPause = 100;
const longestPause = 2000;

/**
 * The text of a 2xx answer. Throws an `ApiError` when the budget is used up or
 * another try is of no use, and what the credential throws (7, 11).
 */
export async function call(
  request: Call,
  session: Session,
  budget: Deadline,
  wire: Wire,
): Promise<string> {
  let renewed = false;
  for (let tries = 1; ; tries++) {
    const access = await session.access();
    const outcome = await attempt(request, access, budget, wire);
    if (typeof outcome === "string") return outcome;
    if (outcome.status === 401 && !renewed) {
      renewed = true;
      session.renew(access);
      continue;
    }
    const pause = pauseOf(outcome, tries, wire.random());
    if (!outcome.transient || pause >= budget.remaining)
      throw failed(request, outcome, tries);
    await wire.sleep(pause);
  }
}

/** As long as the server says, if that is longer. */
function pauseOf({ retryAfter = 0 }: Failure, tries: number, random: number) {
  return Math.max(retryAfter, backoff(tries, random));
}

/** Exponential, between half and all of it, so that a node's pods do not come back at once. */
function backoff(tries: number, random: number): number {
  return (
    Math.min(longestPause, firstPause * 2 ** (tries - 1)) * (0.5 + random / 2)
  );
}

function failed(
  request: Call,
  { what, status, fields }: Failure,
  tries: number,
): ApiError {
  const count = tries > 1 ? ` (${tries} tries)` : "";
  const message = `failed to ${request.action()}: ${what}${count}`;
  return new ApiError(message, status, fields);
}

/** The text of a 2xx response, or why there is none. */
async function attempt(
  request: Call,
  access: Access,
  budget: Deadline,
  wire: Wire,
): Promise<string | Failure> {
  const credential = await access.credential(budget);
  if (budget.expired) return late(access);
  const { tried } = wire;
  const { method, path } = request;
  const began = tried ? monotonicMs() : 0;
  let status: number | undefined;
  let outcome: string | Failure;
  const signal = wire.timeout(Math.ceil(budget.atMost(tryLimit).remaining));
  try {
    const response = await wire.send(request, access, credential, signal);
    ({ status } = response);
    outcome = await outcomeOf(response, request, access, credential, wire);
  } catch (error) {
    outcome = signal.aborted
      ? late(access)
      : connectionFailure(access.server, errnoOf(error));
  }
  tried?.({
    method,
    path,
    ...(status !== undefined && { status }),
    ...(typeof outcome !== "string" && { problem: outcome.what }),
    ms: monotonicMs() - began,
  });
  return outcome;
}

async function outcomeOf(
  response: HttpResponse,
  { subject }: Call,
  access: Access,
  credential: Credential,
  { now }: Wire,
): Promise<string | Failure> {
  const { status, text } = response;
  if (status >= 200 && status < 300) return text ?? tooLarge(access);
  if (status >= 300 && status < 400)
    return connectionFailure(access.server, "UnexpectedRedirect");
  const { refusal } = await import("./refusal.ts");
  return refusal(response, subject, credential, now());
}

function late({ server }: Access): Failure {
  return {
    what: `server ${quote(server)}: no answer in time`,
    transient: true,
  };
}

function tooLarge({ server }: Access): Failure {
  const size = `${bodyLimit >> 20} MiB`;
  return {
    what: `the answer of server ${quote(server)} is larger than ${size}`,
    transient: false,
  };
}
