/** Faults that the API server of the tests makes on demand. */
import type { ServerResponse } from "node:http";
import type { LoggedRequest } from "./api-server.ts";

export type Fault = {
  /** Default: every request. */
  match?: (request: LoggedRequest) => boolean;
  /** How many requests it hits. Default: 1. */
  times?: number;
} & (
  | {
      kind: "answer";
      status?: number;
      headers?: Record<string, string>;
      body?: string;
    }
  | { kind: "delay"; ms: number }
  /** Accepts the request and never responds. */
  | { kind: "stall"; reached?: () => void }
  /** Sends half of a response, then nothing more. */
  | { kind: "half"; reached?: () => void }
  | { kind: "close" }
  | { kind: "truncate" }
  /** The object asked for, each so many bytes of it one chunk (RFC 9112 §7.1). */
  | { kind: "chunks"; bytes: number }
  /** An endless `a`, cut after so many bytes; without a length unless `stated`. */
  | { kind: "huge"; bytes: number; stated?: boolean }
);

/** The response without an object: `kind: Status`. */
export function statusFault(
  status: number,
  {
    message = `fault ${status}`,
    headers = {},
    details,
  }: {
    message?: string;
    headers?: Record<string, string>;
    details?: object;
  } = {},
): Fault {
  const body = JSON.stringify(statusObject(status, message, details));
  return { kind: "answer", status, headers, body };
}

/** The response of the real server for every path of a kind that is not installed. */
export const unknownKindFault: Fault = {
  kind: "answer",
  status: 404,
  headers: { "content-type": "text/plain; charset=utf-8" },
  body: "404 page not found\n",
};

export function statusObject(
  code: number,
  message: string,
  details?: object,
): object {
  return {
    kind: "Status",
    apiVersion: "v1",
    status: "Failure",
    message,
    details,
    code,
  };
}

/** Whether the request has been dealt with. */
export async function misbehave(
  fault: Fault,
  response: ServerResponse,
  send: (
    status: number,
    text: string,
    headers?: Record<string, string>,
  ) => void,
): Promise<boolean> {
  switch (fault.kind) {
    case "answer":
      send(fault.status ?? 200, fault.body ?? "", fault.headers);
      break;
    case "delay":
      await Bun.sleep(fault.ms);
      return false;
    case "chunks":
      return false;
    case "stall":
      fault.reached?.();
      break;
    case "half":
      response.writeHead(200, { "content-length": "100" });
      response.write("{", () => fault.reached?.());
      break;
    case "close":
      response.socket?.destroy();
      break;
    case "truncate":
      response.writeHead(200, { "content-length": "100" });
      response.write("{", () => response.socket?.destroy());
      break;
    case "huge":
      response.writeHead(
        200,
        fault.stated ? { "content-length": `${fault.bytes}` } : {},
      );
      response.end("a".repeat(fault.bytes));
      break;
  }
  return true;
}

/** The body of the fault `chunks`. */
export async function writeChunks(
  response: ServerResponse,
  body: Uint8Array,
  size: number,
): Promise<void> {
  for (let at = 0; at < body.length; at += size) {
    const { promise, resolve } = Promise.withResolvers<void>();
    // The next one after this one is out: they must not become one chunk.
    response.write(body.subarray(at, at + size), () => resolve());
    await promise;
  }
  response.end();
}
