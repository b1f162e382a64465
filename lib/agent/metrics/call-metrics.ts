/**
 * The metrics of calls (agent.md "Metrics"): lines of calls.log go in, counters and
 * histograms come out. A change of a running pod counts by its plugins and requests. Labels
 * never have a pod's name. Pure.
 */
import type { CallLine } from "./call-reader.ts";
import type { Family, Metrics } from "./prometheus.ts";

const calls = {
  name: "genie_calls_total",
  help: "Calls of the plugin by the container runtime; code 0 is success.",
  type: "counter",
  labels: ["verb", "code"],
} as const satisfies Family;

const callSeconds = {
  name: "genie_call_seconds",
  help: "Duration of calls of the plugin.",
  type: "histogram",
  labels: ["verb"],
} as const satisfies Family;

const delegateSeconds = {
  name: "genie_delegate_seconds",
  help: "Duration of executions of networks' plugins.",
  type: "histogram",
  labels: ["plugin", "verb"],
} as const satisfies Family;

const delegateFailures = {
  name: "genie_delegate_failures_total",
  help: "Executions of networks' plugins that failed, by the error's code.",
  type: "counter",
  labels: ["plugin", "verb", "code"],
} as const satisfies Family;

const apiRequests = {
  name: "genie_api_requests_total",
  help: "Requests of the plugin to the API server; status 0 is no response.",
  type: "counter",
  labels: ["verb", "resource", "status"],
} as const satisfies Family;

export const callFamilies: readonly Family[] = [
  calls,
  callSeconds,
  delegateSeconds,
  delegateFailures,
  apiRequests,
];

export function count(metrics: Metrics, call: CallLine): void {
  const { verb, change, code, ms, delegates, requests } = call;
  if (!change) {
    metrics.add(calls, [verb, String(code)]);
    metrics.observe(callSeconds, [verb], ms / 1000);
  }
  for (const one of delegates) {
    metrics.observe(delegateSeconds, [one.plugin, one.verb], one.ms / 1000);
    if (one.code !== 0)
      metrics.add(delegateFailures, [one.plugin, one.verb, String(one.code)]);
  }
  for (const { verb: method, resource, status = 0 } of requests)
    metrics.add(apiRequests, [method, resource, String(status)]);
}
