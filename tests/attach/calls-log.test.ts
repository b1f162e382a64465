import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { openCallsLog } from "../../lib/attach/calls-log.ts";
import type { Request } from "../../lib/cni/plugin-request.ts";
import { CniError } from "../../lib/cni/error.ts";
import { temporaryDirectory } from "../support/delegate.ts";
import { systemDependencies } from "../../lib/attach/dependencies.ts";

const request: Request = {
  command: "ADD",
  containerId: "c1",
  netns: "/run/netns/a",
  ifname: "eth0",
  args: "",
  path: [],
  config: { name: "genie-net" },
  cniVersion: "1.0.0",
};

/** The line of a call with so many executions, of a pod with a name of so many letters. */
function lineOf(executions: number, letters = 10_000, error?: unknown) {
  using directory = temporaryDirectory();
  const path = `${directory.path}/calls.log`;
  writeFileSync(path, "", { mode: 0o600 });
  const calls = openCallsLog(
    {
      ...request,
      args: `K8S_POD_NAMESPACE=shop;K8S_POD_NAME=${"w".repeat(letters)}`,
    },
    { dataDir: directory.path },
    { ...systemDependencies({}), clock: () => 0 },
  );
  for (let i = 0; i < executions; i++) {
    const runtime = {
      containerId: "c1",
      netns: "",
      ifname: `net${i}`,
      args: "",
      capabilityArgs: {},
      path: [],
    };
    calls?.executed({
      call: {
        verb: "ADD",
        type: "macvlan",
        network: `network-${i}`,
        config: "{}",
        runtime,
        deadline: undefined as never,
      },
      ms: 1.2345,
      stderr: "",
    });
  }
  calls?.ended(error);
  const text = readFileSync(path, "utf8");
  return { text, call: JSON.parse(text) as Record<string, unknown[]> };
}

/** The request as the line has it. */
function requestOf(method: string, path: string): unknown {
  using directory = temporaryDirectory();
  const file = `${directory.path}/calls.log`;
  writeFileSync(file, "", { mode: 0o600 });
  const config = { dataDir: directory.path };
  const calls = openCallsLog(request, config, systemDependencies({}));
  calls?.requested({ method, path, status: 200, ms: 1 });
  calls?.ended();
  const line = JSON.parse(readFileSync(file, "utf8")) as {
    requests: unknown[];
  };
  return line.requests[0];
}

test.each([
  ["GET", "/api/v1/namespaces/shop/pods/web", "get", "pods"],
  ["GET", "/api/v1/namespaces/shop/pods/web?resourceVersion=0", "get", "pods"],
  ["PATCH", "/api/v1/namespaces/shop/pods/web/status", "patch", "pods/status"],
  [
    "GET",
    "/apis/k8s.cni.cncf.io/v1/namespaces/shop/network-attachment-definitions/fast?resourceVersion=0",
    "get",
    "network-attachment-definitions",
  ],
  [
    "GET",
    "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=a%3Db",
    "list",
    "resourceslices",
  ],
])("a request, %s %s: %s of %s", (method, path, verb, resource) => {
  expect(requestOf(method, path)).toMatchObject({ verb, resource });
});

describe("openCallsLog", () => {
  test("a line that is too long keeps the beginning of its lists", () => {
    const { text, call } = lineOf(200);
    expect(text.length).toBeLessThanOrEqual(8192);
    expect(text.indexOf("\n")).toBe(text.length - 1);
    const { delegates = [], networks = [] } = call;
    expect(delegates[0]).toEqual({
      plugin: "macvlan",
      verb: "ADD",
      network: "network-0",
      ifname: "net0",
      ms: 1.23,
      code: 0,
    });
    expect([delegates.length, networks.length]).toEqual([50, 50]);
    expect(Number(call["omitted"])).toBe(150);
  });

  test("a line of 8192 bytes is whole, one of 8193 is not", () => {
    const letters = 8193 - lineOf(74, 1).text.length;
    const [whole, cut] = [lineOf(74, letters), lineOf(74, letters + 1)];
    expect(whole.text.length).toBe(8192);
    expect([whole, cut].map(({ call }) => call["delegates"]?.length)).toEqual([
      74, 37,
    ]);
  });

  test("names and errors from outside are cut", () => {
    const { call } = lineOf(0, 10_000, new CniError(7, "x".repeat(10_000)));
    expect([String(call["pod"]).length, String(call["error"]).length]).toEqual([
      321, 513,
    ]);
  });
});
