import { describe, expect, test } from "bun:test";
import { callFamilies, count } from "../../lib/agent/metrics/call-metrics.ts";
import { Metrics } from "../../lib/agent/metrics/prometheus.ts";

describe("count", () => {
  const call = [
    'genie_calls_total{verb="ADD",code="11"} 1',
    'genie_call_seconds_sum{verb="ADD"} 1.5',
    'genie_call_seconds_count{verb="ADD"} 1',
  ];
  const within = [
    'genie_delegate_seconds_sum{plugin="lan",verb="ADD"} 0.5',
    'genie_delegate_seconds_count{plugin="lan",verb="ADD"} 1',
    'genie_delegate_seconds_sum{plugin="ptp",verb="ADD"} 0.25',
    'genie_delegate_seconds_count{plugin="ptp",verb="ADD"} 1',
    'genie_delegate_failures_total{plugin="lan",verb="ADD",code="11"} 1',
    'genie_api_requests_total{verb="get",resource="pods",status="0"} 1',
    'genie_api_requests_total{verb="get",resource="pods",status="200"} 1',
  ];
  test.each([
    ["a call", false, [...call, ...within]],
    ["a change of a running pod: no call", true, within],
  ])("%s", (_, change, expected) => {
    const metrics = new Metrics();
    count(metrics, {
      verb: "ADD",
      change,
      ms: 1500,
      code: 11,
      delegates: [
        { plugin: "ptp", verb: "ADD", ms: 250, code: 0 },
        { plugin: "lan", verb: "ADD", ms: 500, code: 11 },
      ],
      requests: [
        { verb: "get", resource: "pods", status: undefined, ms: 3000 },
        { verb: "get", resource: "pods", status: 200, ms: 10 },
      ],
    });
    const lines = metrics.text(callFamilies).trimEnd().split("\n");
    expect(lines.filter((line) => !/^#|_bucket/.test(line))).toEqual(expected);
  });
});
