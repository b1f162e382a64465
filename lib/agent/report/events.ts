/**
 * `--events`: what happens to the networks of pods, as events (agent.md "Events"): from
 * new records, from failures in calls.log, from the audit, and those of other parts. The
 * plugin itself writes none.
 */
import type { CallLine } from "../metrics/call-reader.ts";
import type { Agent, Part } from "../part.ts";
import { repeat, together } from "../timing.ts";
import { tellFindings } from "./audit-events.ts";
import { asksForNetworks } from "./audit.ts";
import { EventWriter, subjectOf } from "./event-writer.ts";
import { tellInterfaces } from "./interface-events.ts";

/** Milliseconds from round to round. */
const every = {
  /** Events are written. */
  flush: 1000,
  /** calls.log is read. */
  calls: 1000,
  /** calls.log is rotated if it is long. */
  keep: 10_000,
};

export const events: Part = {
  name: "events",
  synced: (agent) => agent.pods().state() === "current",
  async run(agent, signal) {
    const { node, api, log } = agent;
    const { now, uptimeMs } = agent.context.dependencies;
    const writer = new EventWriter({ node, api, log, now, uptimeMs });
    agent.eventSink = (event) => writer.take(event);
    const calls = agent.calls();
    let unsubscribe = () => {};
    try {
      // Calls that were logged before this process started make no events.
      calls.keep();
      unsubscribe = calls.subscribe((call) => tellFailure(call, agent));
      await together(
        signal,
        (end) => repeat(every.flush, end, () => writer.flush()),
        (end) => repeat(every.calls, end, () => calls.update()),
        (end) => repeat(every.keep, end, () => calls.keep()),
        (end) => tellFindings(agent, end),
        (end) => tellInterfaces(agent, end),
      );
    } finally {
      unsubscribe();
      agent.eventSink = undefined;
      await writer.flush();
    }
  },
};

/**
 * The event of a failed ADD of a pod that asks for more than the default network. A change
 * of a running pod is left out: the part or the command that asked for it tells its failure.
 */
function tellFailure(
  { verb, change, code, pod: name = "", error = "" }: CallLine,
  agent: Agent,
): void {
  if (verb !== "ADD" || change || code === 0) return;
  const slash = name.indexOf("/");
  const pod = agent.pods().get(name.slice(slash + 1), name.slice(0, slash));
  if (!pod || !asksForNetworks(pod, agent.context.config)) return;
  agent.event(subjectOf(pod), "Warning", "FailedAddingInterface", error);
}
