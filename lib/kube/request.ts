/**
 * One API request: retries within a time budget, and the pauses between them
 * (selection.md §1). `transport` sends it.
 */
import { type Deadline, monotonicMs } from "../linux/deadline.ts";
import { errnoOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import type { Access } from "./access/access.ts";
import type { Credential } from "./access/credential.ts";
import {
  ApiError,
  type Failure,
  type Subject,
  connectionFailure,
  refusal,
} from "./api-error.ts";
import type { HttpRequest } from "../http/http-request.ts";
import type { Send } from "./transport.ts";
import { type HttpResponse, bodyLimit } from "../http/http-response.ts";

export interface Call extends HttpRequest {
  /** For messages: `get pod "ns/name"`. */
  action(): string;
  subject: Subject;
}

/** The dependencies of a request. */
export interface Wire {
  send: Send;
  sleep(ms: number): Promise<void>;
  /** 0 ≤ x < 1 */
  random(): number;
  /** A signal that aborts after this many milliseconds. */
  timeout(ms: number): AbortSignal;
  now(): Date;
  /** Called after each try, for a log. Must not throw. */
  tried?: ((one: Try) => void) | undefined;
}

/** One try and its outcome. Contains no secret: the path has names only. */
export interface Try {
  method: string;
  path: string;
  /** Undefined without a readable response. */
  status?: number;
  /** The reason of a failed try. */
  problem?: string;
  ms: number;
}

/** Milliseconds: of one try, of the first pause, of the longest pause. */
const tryLimit = 3000;
const firstPause = 100;
const longestPause = 2000;

/**
 * The text of a 2xx response. Throws an `ApiError` if the budget is used up or a
 * retry is of no use, and the credential's error (7, 11).
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
    const outcome = await tryOnce(request, access, budget, wire);
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

/**
 * The server's pause if it is longer; else exponential with jitter (half to all of it), so
 * that the pods of a node do not retry at once.
 */
function pauseOf({ retryAfter = 0 }: Failure, tries: number, random: number) {
  const longest = Math.min(longestPause, firstPause * 2 ** (tries - 1));
  return Math.max(retryAfter, longest * (0.5 + random / 2));
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

/** The text of a 2xx response, or the reason why there is none. */
async function tryOnce(
  request: Call,
  access: Access,
  budget: Deadline,
  wire: Wire,
): Promise<string | Failure> {
  const credential = await access.credential(budget);
  if (budget.expired) return connectionFailure(access.server, "ETIMEDOUT");
  const { tried } = wire;
  const { method, path } = request;
  const began = tried ? monotonicMs() : 0;
  let status: number | undefined;
  let outcome: string | Failure;
  const { remaining } = budget.atMost(tryLimit);
  // Rounded up. Math would cost a pod 0.1 ms at its first use.
  const whole = remaining | 0;
  const signal = wire.timeout(whole < remaining ? whole + 1 : whole);
  try {
    const response = await wire.send(request, access, credential, signal);
    ({ status } = response);
    outcome = outcomeOf(response, request, access, credential, wire);
  } catch (error) {
    const code = signal.aborted ? "ETIMEDOUT" : errnoOf(error);
    outcome = connectionFailure(access.server, code);
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

function outcomeOf(
  response: HttpResponse,
  { subject }: Call,
  access: Access,
  credential: Credential,
  { now }: Wire,
): string | Failure {
  const { status, text } = response;
  if (status >= 200 && status < 300) return text ?? tooLarge(access);
  if (status >= 300 && status < 400)
    return connectionFailure(access.server, "UnexpectedRedirect");
  return refusal(response, subject, credential, now());
}

function tooLarge({ server }: Access): Failure {
  const size = `${bodyLimit >> 20} MiB`;
  return {
    what: `the response of server ${quote(server)} is larger than ${size}`,
    transient: false,
  };
}

/**
 * The access that the requests of this process share: opened at the first request,
 * because most pods send none, and reopened after a 401.
 */
export interface Session {
  access(): Promise<Access>;
  /** The next request reads kubeconfig and credential again, unless another request has done so. */
  renew(refused: Access): void;
}

/** `open` must not throw, but reject. */
export function createSession(open: () => Promise<Access>): Session {
  let current: Promise<Access> | undefined;
  let opened: Access | undefined;
  const openNow = async (): Promise<Access> => {
    try {
      return (opened = await open());
    } catch (error) {
      // The agent asks again when the file is mended.
      current = undefined;
      throw error;
    }
  };
  return {
    access: () => (current ??= openNow()),
    renew(refused) {
      if (opened === refused) current = opened = undefined;
    },
  };
}
