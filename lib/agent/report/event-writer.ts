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
import { statusText } from "../../kube/api-error.ts";
import type { Api } from "../../kube/typed-api.ts";
import { messageOf } from "../../linux/errno.ts";
import { cut } from "../../linux/text.ts";
import type { Agent, AgentEvent } from "../part.ts";

/** Milliseconds: of one event again, until one is forgotten, of one request. */
const limits = { again: 60_000, forget: 3_600_000, request: 5000 };

/** Bytes without the `…` of a cut; the API server allows 1024. */
const longestMessage = 1020;

/** Events that wait: a node where everything fails must not fill our memory. */
const mostWaiting = 500;

/** Container IDs and UUIDs: plugins name the sandbox, and each try has another one. */
const ids = /\b[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\b|\b[\da-f]{12,}\b/g;

interface Known {
  event: AgentEvent;
  /** Name of its object; absent before it is made. */
  name?: string;
  count: number;
  first: Date;
  last: Date;
  /** The count that is written. */
  written: number;
  writtenMs: number;
}

export interface EventWriterDependencies {
  node: string;
  api(): Promise<Api>;
  log: Agent["log"];
  now(): Date;
}

export class EventWriter {
  readonly #dependencies: EventWriterDependencies;
  readonly #known = new Map<string, Known>();
  #told = "";

  constructor(dependencies: EventWriterDependencies) {
    this.#dependencies = dependencies;
  }

  /** Counts it; {@link flush} writes. */
  take(event: AgentEvent): void {
    const { subject, type, reason, message } = event;
    const key = JSON.stringify([
      subject.uid,
      subject.namespace,
      subject.name,
      type,
      reason,
      message.replace(ids, ""),
    ]);
    const now = this.#dependencies.now();
    const known = this.#known.get(key);
    if (known) {
      known.count++;
      known.last = now;
    } else if (this.#waiting().length < mostWaiting)
      this.#known.set(key, {
        event,
        count: 1,
        first: now,
        last: now,
        written: 0,
        writtenMs: -Infinity,
      });
  }

  #waiting(): Known[] {
    return [...this.#known.values()].filter(
      ({ count, written }) => count > written,
    );
  }

  /** Writes those that are new, and the counts that were written a minute ago. Never throws. */
  async flush(): Promise<void> {
    const ms = this.#dependencies.now().getTime();
    for (const [key, { last }] of this.#known)
      if (ms - last.getTime() > limits.forget) this.#known.delete(key);
    for (const known of this.#waiting()) {
      if (ms - known.writtenMs < limits.again) continue;
      known.writtenMs = ms;
      try {
        await this.#write(known);
        this.#told = "";
      } catch (error) {
        const problem = messageOf(error);
        if (problem !== this.#told)
          this.#dependencies.log("warn", "failed to write an event", {
            reason: known.event.reason,
            error: problem,
          });
        this.#told = problem;
      }
    }
  }

  async #write(known: Known): Promise<void> {
    const { count, last, name } = known;
    const { namespace = "default" } = known.event.subject;
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`;
    const counted = { count, lastTimestamp: last };
    if (name !== undefined) {
      const status = await this.#send("PATCH", `${path}/${name}`, counted);
      // The API server forgets events after an hour.
      if (status !== 404) return this.#wrote(known, count, status);
    }
    const object = this.#objectOf(known);
    known.name = object.metadata.name ?? "";
    const status = await this.#send("POST", path, object);
    this.#wrote(known, count, status);
  }

  #wrote(known: Known, count: number, status: number): void {
    if (status >= 300) throw new Error(statusText(status));
    known.written = count;
  }

  #objectOf({ event, count, first, last }: Known): CoreV1Event {
    const { node } = this.#dependencies;
    const { subject, type, reason, message } = event;
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
      message: cut(message, longestMessage),
      source: { component: "genie", host: node },
      reportingComponent: "genie",
      reportingInstance: node,
      firstTimestamp: first,
      lastTimestamp: last,
      count,
    };
  }

  async #send(method: string, path: string, body: object): Promise<number> {
    const api = await this.#dependencies.api();
    const kind = method === "PATCH" ? "merge-patch+json" : "json";
    const signal = AbortSignal.timeout(limits.request);
    const response = await api.send(path, signal, {
      method,
      headers: { "content-type": `application/${kind}` },
      body: JSON.stringify(body),
    });
    await response.body?.cancel();
    return response.status;
  }
}

export function podSubject(pod: {
  namespace: string;
  name: string;
  uid: string;
}): V1ObjectReference {
  return { apiVersion: "v1", kind: "Pod", ...pod };
}

export function subjectOf({ metadata }: V1Pod): V1ObjectReference {
  const { namespace = "", name = "", uid = "" } = metadata ?? {};
  return podSubject({ namespace, name, uid });
}

/** The kubelet's own events name the node as its UID, and `kubectl describe node` looks for that. */
export function nodeSubject(node: string): V1ObjectReference {
  return { apiVersion: "v1", kind: "Node", name: node, uid: node };
}
