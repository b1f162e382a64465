/**
 * valibot's schemas as a second opinion: what our plain checks accept of a
 * configuration and of a record is what a schema of it accepts. Plain checks, because a
 * pod would pay for the making of the schemas (docs/performance.md).
 */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import * as v from "valibot";
import { faultIn } from "../../lib/attach/record-fault.ts";
import { Code } from "../../lib/cni/error.ts";
import { isObject, own } from "../../lib/cni/json.ts";
import { configKeys } from "../../lib/select/config-problems.ts";
import { readConfig } from "../../lib/select/config.ts";
import { almost, anyJson, orCniError, runs } from "./arbitraries.ts";

const optional = <T extends v.GenericSchema>(schema: T) => v.nullish(schema);
const text = v.string();
const names = v.array(text);
const path = v.pipe(text, v.startsWith("/"));
const name = v.pipe(text, v.minLength(1));
const pathOrNone = v.union([v.literal(""), path]);
const number = v.pipe(
  v.unknown(),
  v.transform((value) =>
    JSON.isRawJSON(value) ? Number(value.rawJSON) : value,
  ),
  v.number(),
  v.finite(),
);
const seconds = v.pipe(number, v.gtValue(0), v.maxValue(86_400));
const level = v.pipe(text, v.regex(/^(?:$|error|warn|info|debug)/i));
const directoryName = v.pipe(
  text,
  v.excludes("/"),
  v.check((value) => !["", ".", ".."].includes(value)),
);
const anything = v.custom(isObject);

const config = v.pipe(
  v.custom<object>(isObject),
  v.looseObject({
    type: optional(name),
    capabilities: optional(anything),
    runtimeConfig: optional(anything),
    default_plugin: optional(text),
    kubernetes: optional(
      v.pipe(
        v.custom<object>(isObject),
        v.looseObject({
          kubeconfig: optional(text),
          k8s_api_root: optional(text),
        }),
      ),
    ),
    policy: optional(
      v.pipe(
        v.custom<object>(isObject),
        v.looseObject({
          type: optional(text),
          k8s_api_root: optional(text),
          k8s_auth_token: optional(text),
          k8s_client_certificate: optional(text),
          k8s_client_key: optional(text),
          k8s_certificate_authority: optional(text),
        }),
      ),
    ),
    log_level: optional(level),
    logFile: optional(pathOrNone),
    confDir: optional(path),
    binDir: optional(v.union([text, names])),
    dataDir: optional(path),
    apiTimeout: optional(seconds),
    delegateTimeout: optional(seconds),
    result: optional(v.picklist(["primary", "merged"])),
    strict: optional(v.boolean()),
    namespaceIsolation: optional(v.boolean()),
    globalNamespaces: optional(names),
    systemNamespace: optional(name),
    allowedNetworks: optional(names),
    allowedPlugins: optional(names),
    allowedIpams: optional(names),
    defaultRoutes: optional(v.picklist(["owner", "keep"])),
    allowRepeated: optional(names),
    automatic: optional(
      v.pipe(
        v.custom<object>(isObject),
        v.looseObject({
          networks: names,
          by: optional(v.picklist(["attachments", "traffic"])),
        }),
      ),
    ),
    auxiliaryChain: optional(directoryName),
    deleteGiveUp: optional(v.pipe(number, v.minValue(0))),
    runtimeCacheDir: optional(pathOrNone),
    multusDir: optional(pathOrNone),
    multusConfDir: optional(pathOrNone),
    nodeName: optional(text),
    podResourcesSocket: optional(path),
  }),
);

const record = v.looseObject({
  formatVersion: v.number(),
  containerId: text,
  ifname: text,
  netns: text,
  netnsId: v.optional(text),
  mountNamespace: v.optional(text),
  network: text,
  pod: v.optional(v.object({ namespace: text, name: text, uid: text })),
  time: text,
  bootId: text,
  uptimeMs: v.number(),
  failures: v.optional(
    v.looseObject({
      count: v.number(),
      bootId: text,
      uptimeMs: v.number(),
    }),
  ),
  abandoned: v.optional(
    v.looseObject({
      time: text,
      errors: v.array(
        v.looseObject({ ifname: text, network: text, error: text }),
      ),
    }),
  ),
  path: names,
  attachments: v.array(
    v.object({
      list: v.object({
        name: text,
        cniVersion: text,
        disableCheck: v.boolean(),
        disableGC: v.boolean(),
        loadOnlyInlinedPlugins: v.boolean(),
        plugins: v.array(
          v.custom((value) => typeof own(value, "type") === "string"),
        ),
      }),
      ifname: text,
      args: text,
      capabilityArgs: anything,
      definition: v.optional(text),
    }),
  ),
});

const exampleConfig = {
  type: "genie",
  capabilities: { "io.kubernetes.cri.pod-annotations": true },
  runtimeConfig: { portMappings: [] },
  default_plugin: "flannel",
  kubernetes: { kubeconfig: "/etc/kubeconfig", k8s_api_root: null },
  policy: { type: "k8s", k8s_auth_token: "t" },
  confDir: "/etc/cni/net.d",
  binDir: ["/opt/cni/bin"],
  dataDir: "/var/lib/genie",
  apiTimeout: 2.5,
  delegateTimeout: 86_400,
  result: "merged",
  strict: true,
  namespaceIsolation: false,
  globalNamespaces: ["default"],
  allowedNetworks: ["flannel"],
  allowedIpams: ["static"],
  log_level: "Warning",
  logFile: "",
  defaultRoutes: "keep",
  allowRepeated: ["calico"],
  automatic: { networks: ["canal"], by: "traffic" },
  auxiliaryChain: "vendor",
  deleteGiveUp: 0,
  multusConfDir: "/etc/cni/multus/net.d",
  podResourcesSocket: "/run/kubelet.sock",
};

const exampleRecord = {
  formatVersion: 1,
  containerId: "c1",
  ifname: "eth0",
  netns: "/run/netns/a",
  netnsId: "0:4:4026531840",
  mountNamespace: "4026531841",
  network: "genie-net",
  pod: { namespace: "shop", name: "web", uid: "u" },
  time: "2026-01-01T00:00:00.000Z",
  bootId: "b",
  uptimeMs: 12,
  failures: { count: 1, bootId: "b", uptimeMs: 13 },
  abandoned: {
    time: "2026-01-01T00:00:00.000Z",
    errors: [{ ifname: "eth0", network: "net", error: "no" }],
  },
  path: ["/opt/cni/bin"],
  attachments: [
    {
      list: {
        name: "net",
        cniVersion: "1.0.0",
        disableCheck: false,
        disableGC: false,
        loadOnlyInlinedPlugins: false,
        plugins: [{ type: "bridge" }],
      },
      ifname: "eth0",
      args: "A=b",
      capabilityArgs: { portMappings: [] },
      definition: "shop/net",
    },
  ],
};

describe("schemas", () => {
  test("of our configuration, it accepts what readConfig accepts", () => {
    fc.assert(
      fc.property(
        fc.oneof(anyJson(...configKeys), almost(exampleConfig)),
        (value) => {
          const accepted =
            orCniError(() => readConfig(value), Code.invalidNetworkConfig) !==
            undefined;
          expect([value, accepted]).toEqual([value, v.is(config, value)]);
        },
      ),
      runs,
    );
  });

  test("of an attachment record, it accepts where faultIn finds no fault", () => {
    const keys = Object.keys(exampleRecord);
    fc.assert(
      fc.property(
        fc.oneof(anyJson(...keys), almost(exampleRecord)),
        (value) => {
          const accepted = faultIn(value) === undefined;
          expect([value, accepted]).toEqual([value, v.is(record, value)]);
        },
      ),
      runs,
    );
  });

  test("of both, it accepts the examples", () => {
    expect([
      v.is(config, exampleConfig),
      v.is(record, exampleRecord),
      faultIn(exampleRecord),
    ]).toEqual([true, true, undefined]);
  });
});
