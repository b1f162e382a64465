/**
 * What is on the node's disk: configuration files, our own configuration,
 * attachment records, kubeconfig files. None can crash us, none is accepted half.
 */
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { readConfDir } from "../../lib/cni/confdir.ts";
import { parseConf, parseConfList } from "../../lib/cni/conflist.ts";
import { Code, CniError } from "../../lib/cni/error.ts";
import { readKubeconfig } from "../../lib/kube/access/kubeconfig.ts";
import { messageOf } from "../../lib/linux/errno.ts";
import {
  configKeys,
  requireConfig,
  unknownConfigKeys,
} from "../../lib/select/config-schema.ts";
import { readConfig } from "../../lib/select/config.ts";
import { CorruptRecord } from "../../lib/state/record.ts";
import {
  formatVersion,
  newestFormat,
  parseRecord,
  textOfRecord,
} from "../../lib/state/record-text.ts";
import { temporaryDirectory, writeFiles } from "../support/delegate.ts";
import {
  almost,
  anyJson,
  anyText,
  expectRefusal,
  fewRuns,
  mutated,
  orCniError,
  runs,
} from "./arbitraries.ts";

const confKeys = [
  "name",
  "type",
  "cniVersion",
  "cniVersions",
  "plugins",
  "ipam",
  "dns",
  "capabilities",
  "disableCheck",
];

const conflist = JSON.stringify({
  cniVersion: "1.0.0",
  name: "net",
  disableCheck: true,
  plugins: [
    {
      type: "bridge",
      ipam: { type: "host-local" },
      capabilities: { portMappings: true },
    },
  ],
});

const conf = {
  cniVersions: ["0.4.0", "1.0.0"],
  name: "net",
  type: "bridge",
  dns: { nameservers: ["10.0.0.1"] },
};

describe("parseConfList, parseConf", () => {
  test.each([
    ["parseConfList", parseConfList],
    ["parseConf", parseConf],
  ])(
    "%s, any JSON: a list whose plugins are file names, or a refusal",
    (_, parse) => {
      fc.assert(
        fc.property(
          fc.oneof(
            anyJson(...confKeys),
            almost(JSON.parse(conflist)),
            almost(conf),
          ),
          (value) => {
            try {
              const { name, cniVersion, plugins } = parse(value);
              expect([typeof name, typeof cniVersion]).toEqual([
                "string",
                "string",
              ]);
              for (const { type } of plugins) {
                expect([
                  type,
                  ["", ".", ".."].includes(type) || type.includes("/"),
                ]).toEqual([type, false]);
              }
            } catch (error) {
              expectRefusal(error);
            }
          },
        ),
        runs,
      );
    },
  );
});

describe("readConfDir", () => {
  test("any content: of each file a list or a problem, never both", () => {
    const content = fc.oneof(
      anyText,
      mutated(conflist),
      almost(JSON.parse(conflist)).map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(fc.tuple(content, content, content), ([a, b, c]) => {
        using directory = temporaryDirectory();
        writeFiles(directory.path, {
          "a.conflist": a,
          "b.conf": b,
          "c.json": c,
        });
        const files = readConfDir(directory.path);
        expect(files.map(({ file }) => file)).toEqual([
          "a.conflist",
          "b.conf",
          "c.json",
        ]);
        for (const { list, problem } of files)
          expect((list === undefined) !== (problem === undefined)).toBe(true);
      }),
      fewRuns,
    );
  });
});

describe("readConfig", () => {
  const example = {
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
    deleteGiveUp: 0,
    result: "merged",
    strict: true,
    allowedNetworks: ["flannel"],
    log_level: "Warning",
    logFile: "",
    defaultRoutes: "keep",
    automatic: { networks: ["canal"], by: "traffic" },
    auxiliaryChain: "vendor",
  };

  test("any JSON: a configuration or error 7, as the schema says", () => {
    fc.assert(
      fc.property(
        fc.oneof(anyJson(...configKeys), almost(example)),
        (value) => {
          const config = orCniError(
            () => readConfig(value),
            Code.invalidNetworkConfig,
          );
          const keys = orCniError(
            () => requireConfig(value),
            Code.invalidNetworkConfig,
          );
          expect([value, config === undefined]).toEqual([
            value,
            keys === undefined,
          ]);
          if (!config || !keys) return;
          expect(config.unknownKeys).toEqual(unknownConfigKeys(keys));
          const { confDir, dataDir, apiTimeoutMs, delegateTimeoutMs } = config;
          expect([confDir[0], dataDir[0]]).toEqual(["/", "/"]);
          for (const ms of [apiTimeoutMs, delegateTimeoutMs])
            expect(ms > 0 && ms <= 86_400_000).toBe(true);
        },
      ),
      runs,
    );
  });
});

const record = {
  formatVersion,
  containerId: "c1",
  ifname: "eth0",
  netns: "/run/netns/a",
  network: "genie-net",
  pod: { namespace: "shop", name: "web", uid: "u" },
  time: "2026-01-01T00:00:00.000Z",
  bootId: "b",
  uptimeMs: 12.5,
  path: ["/opt/cni/bin"],
  attachments: [
    {
      list: {
        name: "net",
        cniVersion: "1.0.0",
        disableCheck: false,
        disableGC: false,
        loadOnlyInlinedPlugins: false,
        plugins: [{ type: "bridge", mtu: 1500, constructor: { name: "data" } }],
      },
      ifname: "eth0",
      args: "A=b",
      capabilityArgs: { portMappings: [] },
    },
  ],
};
const recordText = textOfRecord(record);
/** A record of 0.1.0, which stated no length. */
const olderText = JSON.stringify(record);

describe("parseRecord", () => {
  const refused = async (text: string) => {
    try {
      return await parseRecord(text);
    } catch (error) {
      const known =
        error instanceof CorruptRecord ||
        (error instanceof CniError && error.code === Code.tryAgainLater);
      if (!known) throw error;
      return undefined;
    }
  };

  test.each([recordText, olderText])(
    "cut anywhere: corrupt; whole: itself, %#",
    async (whole) => {
      for (let i = 0; i < whole.length; i++)
        expect(await refused(whole.slice(0, i))).toBeUndefined();
      expect(textOfRecord(await parseRecord(whole))).toBe(recordText);
    },
  );

  test("any text: corrupt, of a newer genie, or a record with everything that DEL needs", async () => {
    const texts = fc.oneof(
      anyText,
      mutated(olderText),
      almost(record).map((value) => JSON.stringify(value)),
    );
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        const read = await refused(text);
        if (!read) return;
        expect(read.formatVersion).toBeLessThanOrEqual(newestFormat);
        for (const { list, ifname, args } of read.attachments) {
          expect([typeof ifname, typeof args, typeof list.cniVersion]).toEqual([
            "string",
            "string",
            "string",
          ]);
          for (const { type } of list.plugins)
            expect(typeof type).toBe("string");
        }
      }),
      runs,
    );
  });

  test("zeroes, as a file system may leave them: corrupt", () => {
    expect(parseRecord("\u0000".repeat(4096))).rejects.toThrow(CorruptRecord);
  });
});

describe("readKubeconfig", () => {
  const secret = "s3cr3t-t0k3n";
  const kubeconfig = {
    "current-context": "c",
    contexts: [{ name: "c", context: { cluster: "k", user: "u" } }],
    clusters: [{ name: "k", cluster: { server: "https://10.0.0.1" } }],
    users: [{ name: "u", user: { token: secret } }],
  };
  const texts = fc.oneof(
    anyText,
    mutated(
      JSON.stringify(kubeconfig),
      Bun.YAML.stringify(kubeconfig, null, 2),
      `token: ${secret}\n\t- :`,
    ),
    almost(kubeconfig).map((value) => JSON.stringify(value)),
  );

  test("any text: a configuration, or error 7 that does not quote it", () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "kubeconfig");
    fc.assert(
      fc.property(texts, (text) => {
        writeFileSync(path, text);
        try {
          readKubeconfig(path);
        } catch (error) {
          expect([
            error instanceof CniError && error.code,
            messageOf(error).includes(secret),
          ]).toEqual([7, false]);
        }
      }),
      runs,
    );
  });
});
