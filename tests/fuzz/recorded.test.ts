/**
 * What ADD writes, DEL reads (state.md "The record"): for every input that ADD
 * accepts, DEL executes each attachment with the configuration and the arguments
 * that ADD executed it with.
 */
import { expect, test } from "bun:test";
import { chmodSync, readdirSync } from "node:fs";
import * as fc from "fast-check";
import {
  type Dependencies,
  systemDependencies,
} from "../../lib/attach/dependencies.ts";
import { geniePlugin } from "../../lib/attach/plugin.ts";
import { isObject, maxDepth, parseJson } from "../../lib/cni/json.ts";
import { runPlugin } from "../../lib/cni/skel.ts";
import type { Kube } from "../../lib/kube/client.ts";
import type { ExecRequest } from "../../lib/linux/exec.ts";
import { parseRecord, textOfRecord } from "../../lib/state/record-text.ts";
import { temporaryDirectory, writeFiles } from "../support/delegate.ts";
import { anyJson } from "./arbitraries.ts";

const networksKey = "k8s.v1.cni.cncf.io/networks";
const annotationsKey = "io.kubernetes.cri.pod-annotations";

/** Numbers that a double cannot hold as they are written, by a mark that becomes them in the text. */
const numbers = ["12345678901234567890", "1.0", "1e400", "-0", "1E-7", "0.10"];
const mark = (number: string) => `#number ${number}`;
const unmarked = (text: string) =>
  text.replaceAll(/"#number ([^"]*)"/g, (_, number: string) => number);

/** As deep as can be, and one level less and more. */
const deep = fc
  .tuple(fc.integer({ min: -6, max: 1 }), fc.boolean())
  .map(([more, arrays]) => {
    let value: unknown = 1;
    for (let level = 0; level < maxDepth + more; level++)
      value = arrays ? [value] : { a: value };
    return value;
  });

const odd = fc.oneof(
  { weight: 6, arbitrary: anyJson("type", "name", "cni", "ipam") },
  { weight: 2, arbitrary: fc.constantFrom(...numbers.map(mark)) },
  { weight: 1, arbitrary: deep },
  { weight: 1, arbitrary: fc.constant("\ud800 lone \udfff") },
  { weight: 1, arbitrary: fc.constant("x".repeat(200_000)) },
);

const oddObject = fc.oneof(
  fc.dictionary(fc.constantFrom("__proto__", "a", "constructor", ""), odd),
  odd.filter(isObject),
);

/** The text of a definition's `spec.config`. */
const specConfig = fc
  .record({
    plugin: oddObject,
    capabilities: fc.dictionary(
      fc.constantFrom("bandwidth", "portMappings", "ips", "odd"),
      fc.boolean(),
    ),
    cniVersion: fc.constantFrom("0.3.1", "0.4.0", "1.0.0", "1.1.0"),
    isList: fc.boolean(),
  })
  .map(({ plugin, capabilities, cniVersion, isList }) => {
    const one = { ...plugin, type: "alpha", capabilities, ipam: undefined };
    const conf = isList
      ? { cniVersion, name: "list-net", plugins: [one, one] }
      : { ...one, cniVersion, name: "net" };
    return unmarked(JSON.stringify(conf));
  });

const element = fc.record(
  {
    name: fc.constantFrom("a", "b"),
    "cni-args": oddObject,
    bandwidth: fc.constantFrom(
      { ingressRate: 1, egressBurst: 2 },
      { ingressRate: 2 ** 53 },
    ),
    portMappings: fc.constant([
      { hostPort: 80, containerPort: 8080, protocol: "tcp" },
    ]),
    ips: fc.constant(["10.0.0.7/24"]),
  },
  { requiredKeys: ["name"] },
);

const inputs = fc.record({
  definitions: fc.record({ a: specConfig, b: specConfig }),
  elements: fc.array(element, { maxLength: 4 }),
  runtimeConfig: fc.dictionary(
    fc.constantFrom("portMappings", "bandwidth", "odd", "__proto__"),
    odd,
  ),
  cniArgs: fc.constantFrom("", "IgnoreUnknown=1;A=b=c", "A=;B=é"),
});

/** The inputs of a delegate, without those that only DEL has. */
function executedWith({ env, stdin }: ExecRequest): unknown {
  const config = parseJson(stdin, 2 * maxDepth);
  const { prevResult: _, ...rest } = isObject(config) ? config : {};
  return [env["CNI_IFNAME"], env["CNI_ARGS"], JSON.stringify(rest)];
}

test("any input that ADD accepts is executed again by DEL", async () => {
  using directory = temporaryDirectory();
  writeFiles(directory.path, {
    "net.d/1-default.conf": {
      cniVersion: "1.0.0",
      name: "default-net",
      type: "alpha",
      capabilities: { odd: true, portMappings: true, bandwidth: true },
    },
    "bin/alpha": "",
  });
  chmodSync(`${directory.path}/bin/alpha`, 0o755);
  const records = `${directory.path}/data/attachments`;
  const accepted = { added: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(inputs, async (input) => {
      const { definitions, elements, runtimeConfig, cniArgs } = input;
      const executed = { ADD: [] as unknown[], DEL: [] as unknown[] };
      const kube: Kube = {
        getPod: () => Promise.reject(new Error("not asked")),
        get: () => expect.unreachable("no claim is asked for"),
        getDefinition: async (namespace, name) => ({
          metadata: { namespace, name, annotations: {} },
          spec: { config: name === "a" ? definitions.a : definitions.b },
        }),
        patchPodStatus: async () => "patched",
        connect: async () => {},
      };
      const dependencies: Dependencies = {
        ...systemDependencies({}),
        stderr: () => {},
        kube: async () => kube,
        exec: async (request) => {
          const verb = request.env["CNI_COMMAND"];
          if (verb === "ADD" || verb === "DEL")
            executed[verb].push(executedWith(request));
          return { exitCode: 0, signal: null, stdout: "{}", stderr: "" };
        },
      };
      const call = async (command: string, more: object) => {
        const printed: string[] = [];
        const exitCode = await runPlugin(geniePlugin(dependencies, ""), {
          env: {
            CNI_COMMAND: command,
            CNI_CONTAINERID: "c1",
            CNI_NETNS: "/run/netns/a",
            CNI_IFNAME: "eth0",
            CNI_PATH: `${directory.path}/bin`,
            CNI_ARGS: `K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=u;${cniArgs}`,
          },
          readStdin: () => {
            const config = {
              cniVersion: "1.0.0",
              name: "genie-net",
              type: "genie",
              confDir: `${directory.path}/net.d`,
              dataDir: `${directory.path}/data`,
              multusDir: "",
              runtimeCacheDir: "",
              ...more,
            };
            return Buffer.from(unmarked(JSON.stringify(config)));
          },
          stdout: (text) => void printed.push(text),
          stderr: () => {},
          netnsId: () => undefined,
          isStdoutClosed: () => false,
        });
        return { exitCode, stdout: printed.join("") };
      };
      const annotations = {
        [networksKey]: unmarked(JSON.stringify(elements)),
      };
      const { exitCode } = await call("ADD", {
        runtimeConfig: { ...runtimeConfig, [annotationsKey]: annotations },
      });
      if (exitCode === 0) accepted.added++;
      else accepted.refused++;
      for (const file of recordFiles(records)) {
        const text = await Bun.file(`${records}/${file}`).text();
        expect(textOfRecord(await parseRecord(text))).toBe(text);
      }
      expect(await call("DEL", {})).toEqual({ exitCode: 0, stdout: "" });
      // A refused ADD executes nothing.
      expect(executed.DEL.toReversed()).toEqual(executed.ADD);
      expect(recordFiles(records)).toEqual([]);
    }),
    { numRuns: 300 },
  );
  // The inputs are odd, and many of them are not refused.
  expect(accepted.added).toBeGreaterThan(accepted.refused / 4);
}, 60_000);

function recordFiles(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => name.endsWith("eth0.json"));
  } catch {
    return [];
  }
}
