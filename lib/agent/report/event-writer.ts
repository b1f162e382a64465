/**
 * Events of pods and of the node, for `--events` (agent.md). The same event is written at
 * most once a minute, with a count. Nothing waits for it: an event that cannot be written
 * is dropped, and the first failure is logged.
 */
import type {
  CoreV1Event,
  V1ObjectReference,
  V1Pod,
} from "@kubernetes/client-node";
import type { ApiChange } from "../../kube/typed-api.ts";
import { messageOf } from "../../linux/errno.ts";
import { cut, escapeControls } from "../../linux/text.ts";
import { ResponseError } from "../watch/api-response.ts";
import type { Agent, AgentEvent } from "../part.ts";
import { TokenBucket } from "../timing.ts";

/** Milliseconds. */
const limits = {
  /** Until the count of an event is written again. */
  again: 60_000,
  /** Until an event that does not come again is forgotten. */
  forget: 3_600_000,
  /** For one request. */
  request: 5000,
};

/** Bytes without the `…` of a cut; the API server allows 1024. */
const longestMessage = 1020;

/** Events that wait: a node where everything fails must not fill our memory. */
const mostWaiting = 500;

/** New events of one subject: a pod's author can make new ones all the time, by an annotation. */
const newEventsOfSubject = () => new TokenBucket(80, 30_000);

/** Container IDs and UUIDs: plugins name the sandbox, and each try has another one. */
const ids = /\b[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\b|\b[\da-f]{12,}\b/g;

/** One event, told once or more often. */
interface Entry {
  object: CoreV1Event & { count: number; lastTimestamp: Date };
  /** The count that is written. */
  written: number;
  /** When it came last, by the uptime. */
  takenMs: number;
  /** When it was written, or tried, by the uptime. */
  triedMs: number | undefined;
}

interface EventWriterDependencies extends Pick<Agent, "node" | "api" | "log"> {
  /** For the timestamps only: it may be set back. */
  now(): Date;
  uptimeMs(): number;
}

export class EventWriter {
  readonly #dependencies: EventWriterDependencies;
  readonly #entries = new Map<string, Entry>();
  /** By the subject. */
  readonly #buckets = new Map<string, TokenBucket>();
  /** The problem in the log: one line for each. */
  #logged = "";

  constructor(dependencies: EventWriterDependencies) {
    this.#dependencies = dependencies;
  }

  /** Counts it; {@link flush} writes. */
  take(event: AgentEvent): void {
    const { subject, type, reason, message } = event;
    const { uid, namespace, name } = subject;
    const subjectKey = JSON.stringify([uid, namespace, name]);
    const key = JSON.stringify([
      subjectKey,
      type,
      reason,
      message.replace(ids, ""),
    ]);
    const now = this.#dependencies.now();
    const ms = this.#dependencies.uptimeMs();
    const known = this.#entries.get(key);
    if (known) {
      known.object.count++;
      known.object.lastTimestamp = now;
      known.takenMs = ms;
      return;
    }
    const bucket = this.#buckets.get(subjectKey) ?? newEventsOfSubject();
    if (bucket.waitMs(ms) > 0 || this.#waiting().length >= mostWaiting) return;
    bucket.take(ms);
    this.#buckets.set(subjectKey, bucket);
    this.#entries.set(key, {
      object: objectOf(event, this.#dependencies.node, now),
      written: 0,
      takenMs: ms,
      triedMs: undefined,
    });
  }

  #waiting(): Entry[] {
    return [...this.#entries.values()].filter(
      ({ object, written }) => object.count > written,
    );
  }

  /** Writes those that are new, and the counts that were written a minute ago. Never throws. */
  async flush(): Promise<void> {
    const ms = this.#dependencies.uptimeMs();
    this.#forget(ms);
    for (const entry of this.#waiting()) {
      const { triedMs } = entry;
      if (triedMs !== undefined && ms - triedMs < limits.again) continue;
      entry.triedMs = ms;
      try {
        await this.#write(entry, triedMs !== undefined);
        this.#logged = "";
      } catch (error) {
        const problem = messageOf(error);
        if (problem !== this.#logged)
          this.#dependencies.log("warn", "failed to write an event", {
            reason: entry.object.reason,
            error: problem,
          });
        this.#logged = problem;
      }
    }
  }

  #forget(nowMs: number): void {
    for (const [key, { takenMs }] of this.#entries)
      if (nowMs - takenMs > limits.forget) this.#entries.delete(key);
    for (const [subjectKey, bucket] of this.#buckets)
      if (bucket.isFull(nowMs)) this.#buckets.delete(subjectKey);
  }

  async #write(entry: Entry, wasTried: boolean): Promise<void> {
    const { object } = entry;
    const { count, lastTimestamp, metadata } = object;
    const { namespace = "", name } = metadata;
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`;
    const counted = { count, lastTimestamp };
    // The API server forgets events after an hour.
    let status = wasTried
      ? await this.#send("PATCH", `${path}/${name}`, counted)
      : 404;
    if (status === 404) status = await this.#send("POST", path, object);
    if (status >= 300) throw new ResponseError(status);
    entry.written = count;
  }

  async #send(
    method: ApiChange["method"],
    path: string,
    body: object,
  ): Promise<number> {
    const api = await this.#dependencies.api();
    const signal = AbortSignal.timeout(limits.request);
    const response = await api.send(path, signal, { method, body });
    await response.body?.cancel();
    return response.status;
  }
}

function objectOf(
  { subject, type, reason, message }: AgentEvent,
  node: string,
  now: Date,
): Entry["object"] {
  const random = crypto.randomUUID().replaceAll("-", "").slice(0, 16);
  return {
    apiVersion: "v1",
    kind: "Event",
    metadata: {
      // A name has at most 253 characters, and no part of it ends with "-" or is empty.
      name: `${subject.name?.slice(0, 230).replace(/[-.]+$/, "") ?? "genie"}.${random}`,
      namespace: subject.namespace ?? "default",
    },
    involvedObject: subject,
    type,
    reason,
    message: cut(escapeControls(message), longestMessage),
    source: { component: "genie", host: node },
    reportingComponent: "genie",
    reportingInstance: node,
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
  };
}

/** Only these keys: the argument may have others. */
export function podSubject({
  namespace,
  name,
  uid,
}: {
  namespace: string;
  name: string;
  uid: string;
}): V1ObjectReference {
  return { apiVersion: "v1", kind: "Pod", namespace, name, uid };
}

export function subjectOf({ metadata }: V1Pod): V1ObjectReference {
  const { namespace = "", name = "", uid = "" } = metadata ?? {};
  return podSubject({ namespace, name, uid });
}

/** The kubelet's own events name the node as its UID, and `kubectl describe node` looks for that. */
export function nodeSubject(node: string): V1ObjectReference {
  return { apiVersion: "v1", kind: "Node", name: node, uid: node };
}
