/** The text of all metrics: served, written to a file, or printed. */
import type { Context } from "../../attach/context.ts";
import type { Agent, Place } from "../part.ts";
import type { CallCounters } from "./call-counters.ts";
import { callFamilies } from "./call-metrics.ts";
import {
  auditFindings,
  auditMetrics,
  nodeFamilies,
  nodeMetrics,
} from "./node-metrics.ts";
import { type Family, Metrics } from "./prometheus.ts";

/** All that the agent serves. */
export const families: readonly Family[] = [
  ...callFamilies,
  ...nodeFamilies,
  auditFindings,
];

/** All metrics in Prometheus' text format. */
export async function metricsText(
  context: Context,
  counters: CallCounters,
  place: Place,
): Promise<string> {
  counters.update();
  const metrics = await nodeMetrics(context, place);
  return counters.text() + metrics.text(nodeFamilies);
}

/** All metrics, with the audit of the agent's pods once it knows them. */
export async function agentMetricsText(agent: Agent): Promise<string> {
  const { context, place } = agent;
  const text = await metricsText(context, agent.calls(), place);
  const pods = agent.pods();
  if (!pods.hasListed) return text;
  const metrics = new Metrics();
  await auditMetrics(metrics, pods.list(), context, place);
  return text + metrics.text([auditFindings]);
}
