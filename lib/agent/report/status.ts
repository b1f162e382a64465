/**
 * The statuses of pods that ADD did not write: all of them with `--status`, and those of
 * which the PATCH failed (agent.md). The file of results says that a status is due; a note
 * beside it, that it was written. Nothing is locked, so a pod is never kept waiting: the
 * PATCH carries the version of the pod that was read before the file was looked at again,
 * so that it can never replace the status of a later ADD.
 */
import { messageOf } from "../../linux/errno.ts";
import { removeFile } from "../../linux/files.ts";
import { recordDirectory } from "../../state/record-directory.ts";
import type { AttachmentRecord, PodReference } from "../../state/record.ts";
import type { DueStatus } from "../../state/stored-results.ts";
import { statusSynced } from "../../state/synced.ts";
import { keepSynced } from "../keep-synced.ts";
import { namespacedName } from "../watch/kinds.ts";
import type { Agent, Part } from "../part.ts";
import { pause, together } from "../timing.ts";
import { recordChanges } from "../record-changes.ts";
import { Retries } from "../retries.ts";
import { patchStatus, readPodVersion } from "./pod-request.ts";

/** Milliseconds. */
const limits = {
  /** For all requests of one status. */
  write: 3000,
  /** Between two looks at all files. */
  rescan: 300_000,
  /** Between two tries of one status. */
  longestPause: 30_000,
};

/** Statuses that are written at once. */
const parallel = 8;

/** Tries of one status without a pause: the kubelet changes a pod often while it starts. */
const quickTries = 5;

/** Always on: it has nothing to do unless a status is due. */
export const dueStatuses: Part = {
  name: "due statuses",
  async run(agent, signal) {
    const queue = new Queue(agent);
    try {
      await queue.run(signal);
    } finally {
      agent.writesStatuses = false;
    }
  },
};

/** `--status`: ADD leaves the status to us while the file is young. */
export const statusByAgent: Part = {
  name: "status",
  synced: (agent) => agent.pods().state() === "current",
  async run(agent, signal) {
    const path = `${agent.context.config.dataDir}/${statusSynced}`;
    const source = agent.pods();
    try {
      await keepSynced(path, source, agent.context, signal, () =>
        Boolean(agent.writesStatuses),
      );
    } finally {
      // From now on ADD writes the status again.
      removeFile(path);
    }
  },
};

/** A record with a file of results. */
interface Entry {
  name: string;
  identity: Pick<AttachmentRecord, "containerId" | "ifname">;
  pod: PodReference;
  /** The time of the ADD: of several records of one pod, the latest counts. */
  uptimeMs: number;
  due: DueStatus | undefined;
  /** The ID of the status that this process has written. */
  written?: string;
}

class Queue {
  readonly #agent: Agent;
  readonly #entries = new Map<string, Entry>();
  /** Of statuses that are due, by the name of the record. */
  readonly #retries = new Retries(limits.longestPause);
  /** Aborted when another status may be due. */
  #woken = new AbortController();

  constructor(agent: Agent) {
    this.#agent = agent;
  }

  run(signal: AbortSignal): Promise<void> {
    return together(
      signal,
      (end) => this.#follow(end),
      (end) => this.#writeDue(end),
    );
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { context } = this.#agent;
    for await (const names of recordChanges(context, limits.rescan, signal)) {
      for (const name of names) await this.#read(name);
      this.#agent.writesStatuses = true;
      this.#woken.abort();
    }
  }

  async #read(name: string): Promise<void> {
    try {
      const record = await this.#agent.context.records.readNamed(name);
      if (record) this.#update(name, record);
      else this.#entries.delete(name);
    } catch {
      // GC reports an unreadable record.
      this.#entries.delete(name);
    }
  }

  #update(name: string, record: AttachmentRecord): void {
    const { dependencies } = this.#agent.context;
    const records = recordDirectory(this.#agent.context);
    const { containerId, ifname, pod, uptimeMs, bootId } = record;
    // The addresses of an earlier boot are not those of the pod now.
    if (!pod || bootId !== dependencies.bootId()) return;
    const known = this.#entries.get(name);
    let due: DueStatus | undefined;
    try {
      due = records.dueStatus(name);
      const written = [known?.written, due && records.writtenStatus(name)];
      if (due && written.includes(due.id)) due = undefined;
    } catch {
      // A torn file of results says nothing.
    }
    if (known?.uptimeMs === uptimeMs) {
      if (known.due?.id !== due?.id) this.#retries.forget(name);
      known.due = due;
      return;
    }
    this.#retries.forget(name);
    const identity = { containerId, ifname };
    this.#entries.set(name, { name, identity, pod, uptimeMs, due });
  }

  /** Writes the statuses that are due, and waits for the next one. */
  async #writeDue(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#woken = new AbortController();
      const due = [...this.#entries.values()].filter((entry) => entry.due);
      this.#retries.keepOnly(...due.map(({ name }) => name));
      const ready = due.filter(({ name }) => !this.#retries.isWaiting(name));
      const some = ready.slice(0, parallel);
      await Promise.all(some.map((entry) => this.#handle(entry, signal)));
      if (some.length > 0) continue;
      const wake = AbortSignal.any([signal, this.#woken.signal]);
      await pause(Math.min(limits.rescan, this.#retries.nextMs()), wake);
    }
  }

  /** Never throws. */
  async #handle(entry: Entry, signal: AbortSignal): Promise<void> {
    try {
      const id = await this.#write(entry, signal);
      if (id === undefined) return;
      entry.written = id;
      // Another one may be due by now.
      if (entry.due?.id === id) entry.due = undefined;
      // The API server is back: others need not wait.
      this.#retries.hurry();
      recordDirectory(this.#agent.context).noteWritten(entry.identity, id);
    } catch (error) {
      if (signal.aborted) return;
      const failures = this.#retries.later(entry.name);
      const problem = { ...subjectOf(entry), error: messageOf(error) };
      const level = failures === 1 ? "warn" : "debug";
      this.#agent.log(
        level,
        "failed to write the pod's network status",
        problem,
      );
    }
  }

  /**
   * The ID of the status that is written, or that the server refuses for good; undefined
   * when none is due any more.
   */
  async #write(entry: Entry, signal: AbortSignal): Promise<string | undefined> {
    const api = await this.#agent.api();
    const limit = AbortSignal.any([signal, AbortSignal.timeout(limits.write)]);
    for (let tries = 0; tries < quickTries; tries++) {
      const metadata = await readPodVersion(api, entry.pod, limit);
      // Only now: a later ADD changes the version of the pod that was read.
      await this.#read(entry.name);
      if (this.#entries.get(entry.name) !== entry || this.#isSuperseded(entry))
        entry.due = undefined;
      const { due } = entry;
      if (!due) return undefined;
      const { annotations } = due;
      const outcome = await patchStatus(
        api,
        entry.pod,
        { metadata: { ...metadata, annotations } },
        limit,
      );
      const subject = subjectOf(entry);
      if (outcome === "written") {
        this.#agent.log("info", "wrote the pod's network status", subject);
        return due.id;
      }
      if (outcome === "refused") {
        const message = "the API server refuses the network status";
        this.#agent.log("error", message, subject);
        return due.id;
      }
    }
    throw new Error("the pod changes all the time");
  }

  #isSuperseded({ pod, uptimeMs }: Entry): boolean {
    for (const other of this.#entries.values()) {
      const isSame =
        other.pod.namespace === pod.namespace && other.pod.name === pod.name;
      if (isSame && other.uptimeMs > uptimeMs) return true;
    }
    return false;
  }
}

function subjectOf({ pod }: Entry): { pod: string } {
  return { pod: namespacedName(pod) };
}
