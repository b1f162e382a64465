import { describe, expect, test } from "bun:test";
import { own } from "../../../lib/cni/json.ts";
import { parts as agentParts } from "../../../lib/agent/parts.ts";
import { nodePolicy } from "../../../lib/cli/manifest/admission-policy.ts";
import {
  documents,
  image,
  podSpec,
  theOnly,
  watchDefinitions,
} from "./documents.ts";

describe("manifest, the DaemonSet", () => {
  test("the DaemonSet, runs the agent below the node's root", async () => {
    const objects = await documents(
      "--image=registry.test:5000/genie:1@sha256:00",
      "--default=canal",
      "--bin-dir=/usr/lib/cni",
    );
    const { containers, volumes, ...spec } = podSpec(objects);
    expect(
      containers.map((container) => [container.image, container.args]),
    ).toEqual([
      [
        "registry.test:5000/genie:1@sha256:00",
        [
          "agent",
          "--default=canal",
          "--settings=/etc/genie",
          "--root=/host",
          "--bin-dir=/usr/lib/cni",
          "--health=/run/genie/health",
        ],
      ],
    ]);
    expect(spec).toMatchObject({
      serviceAccountName: "genie",
      automountServiceAccountToken: true,
      hostNetwork: true,
    });
    for (const { securityContext, volumeMounts } of containers) {
      expect(securityContext["privileged"]).toBeUndefined();
      expect(securityContext["readOnlyRootFilesystem"]).toBe(true);
      expect(volumeMounts).toEqual([
        {
          name: "root",
          mountPath: "/host",
          readOnly: true,
          mountPropagation: "HostToContainer",
        },
        { name: "plugins", mountPath: "/host/usr/lib/cni" },
        { name: "networks", mountPath: "/host/etc/cni/net.d" },
        { name: "records", mountPath: "/host/var/lib/cni/genie" },
        { name: "health", mountPath: "/run/genie" },
        { name: "settings", mountPath: "/etc/genie" },
      ]);
    }
    expect(
      volumes.flatMap(({ name, hostPath }) =>
        hostPath ? [[name, hostPath.path]] : [],
      ),
    ).toEqual([
      ["root", "/"],
      ["plugins", "/usr/lib/cni"],
      ["networks", "/etc/cni/net.d"],
      ["records", "/var/lib/cni/genie"],
    ]);
  });

  test("its probes, ask the process of the image's entry point", async () => {
    const { containers } = podSpec(await documents(image));
    const { health } = await import("../../../lib/cli/command/watch.ts");
    const { readInput } = await import("../../../lib/cli/command/input.ts");
    for (const [name, isReady] of [
      ["startupProbe", false],
      ["readinessProbe", true],
      ["livenessProbe", false],
    ] as const) {
      const command = containers[0]?.[name].exec.command ?? [];
      expect(command.slice(0, 2)).toEqual(["/genie", "health"]);
      const input = readInput(health, command.slice(2));
      expect([input.operand, input.flag("ready")]).toEqual([
        "/run/genie/health",
        isReady,
      ]);
    }
  });

  test.each([
    ["9464", "127.0.0.1", 9464],
    ["0.0.0.0:9100", "0.0.0.0", 9100],
    ["[::]:9464", "::", 9464],
  ])(
    "--metrics=%s, a named port, and ready is what /readyz says",
    async (address, host, containerPort) => {
      const { containers } = podSpec(
        await documents(image, `--metrics=${address}`),
      );
      expect(containers[0]?.ports).toEqual([
        { name: "metrics", containerPort },
      ]);
      expect<object | undefined>(containers[0]?.readinessProbe).toEqual({
        httpGet: { path: "/readyz", port: "metrics", host },
        periodSeconds: 10,
        timeoutSeconds: 10,
        failureThreshold: 3,
      });
      expect(containers[0]?.livenessProbe).toHaveProperty("exec");
    },
  );

  test("without --metrics, no port", async () => {
    const { containers } = podSpec(await documents(image, "--events"));
    expect(containers[0]).not.toHaveProperty("ports");
  });

  test("--uninstall, one object that replaces the DaemonSet", async () => {
    const words = [image, "-n", "net", "--bin-dir=/usr/lib/cni"];
    const [removing, ...others] = await documents(...words, "--uninstall");
    const installing = theOnly(await documents(...words), "DaemonSet");
    expect(others).toEqual([]);
    for (const key of ["kind", "metadata"])
      expect(own(removing, key)).toEqual(installing[key]);
    expect(own(own(removing, "spec"), "selector")).toEqual(
      own(installing["spec"], "selector"),
    );
    const { containers } = podSpec([removing]);
    expect(containers.map(({ args }) => args)).toEqual([
      [
        "uninstall",
        "--root=/host",
        "--bin-dir=/usr/lib/cni",
        "--watch",
        "--health=/run/genie/health",
      ],
    ]);
    expect(podSpec([removing])).not.toHaveProperty("serviceAccountName");
  });

  test.each<[words: string[], account: string | undefined, data: object]>([
    [[], undefined, {}],
    [["--node-credentials"], undefined, {}],
    [
      ["--node-credentials", "--kubeconfig=/k"],
      undefined,
      { "kubernetes.kubeconfig": '"/k"' },
    ],
    [
      ["--service-account"],
      "/var/run/secrets/kubernetes.io/serviceaccount",
      {},
    ],
  ])(
    "%p, the arguments of its containers are those of the agent",
    async (words, directory, data) => {
      const objects = await documents(image, "--default=a", ...words);
      const { containers } = podSpec(objects);
      expect(theOnly(objects, "ConfigMap")["data"]).toEqual(data);
      const { agent } = await import("../../../lib/cli/agent.ts");
      const { readInput } = await import("../../../lib/cli/command/input.ts");
      const input = readInput(agent, containers[0]?.args.slice(1) ?? []);
      expect([
        input.text("root"),
        input.text("default"),
        input.flag("no-install"),
        input.text("service-account"),
      ]).toEqual(["/host", "a", false, directory]);
    },
  );
});

describe("manifest, the agent's parts", () => {
  const rules = (objects: unknown[]) =>
    own(theOnly(objects, "ClusterRole"), "rules") as object[];

  test("--no-cache, no right but the plugin's", async () => {
    const objects = await documents(image, "--no-cache");
    expect(rules(objects)).not.toContainEqual(watchDefinitions);
    expect(podSpec(objects).containers[0]?.args).toContain("--no-cache");
  });

  test("--status, may watch pods", async () => {
    const objects = await documents(image, "--status");
    expect(rules(objects)).toContainEqual({
      apiGroups: [""],
      resources: ["pods"],
      verbs: ["list", "watch"],
    });
    expect(podSpec(objects).containers[0]?.args).toContain("--status");
  });

  test.each([...agentParts])(
    "--%s, privileged and hostPID only where it is needed",
    async (name, { value, isPrivileged }) => {
      const sample = value === "ADDRESS" ? "9464" : "/tmp";
      const word = value === undefined ? `--${name}` : `--${name}=${sample}`;
      const spec = podSpec(await documents(image, word));
      const { securityContext } = spec.containers[0] ?? {};
      expect([own(spec, "hostPID"), securityContext?.["privileged"]]).toEqual([
        isPrivileged,
        isPrivileged,
      ]);
    },
  );

  test("--textfile, its directory of the node is mounted", async () => {
    const spec = podSpec(await documents(image, "--textfile=/var/lib/tf"));
    expect(spec.volumes).toContainEqual({
      name: "textfile",
      hostPath: { path: "/var/lib/tf", type: "DirectoryOrCreate" },
    });
    expect(spec.containers[0]?.volumeMounts).toContainEqual({
      name: "textfile",
      mountPath: "/host/var/lib/tf",
    });
  });

  test.each([
    [true, true],
    [true, false],
    [false, true],
  ])(
    "nodePolicy, taint %p, labels %p: its own node, and nothing else of it",
    (hasTaint, hasLabels) => {
      const [policy] = nodePolicy("net", { hasTaint, hasLabels });
      const validations = own(own(policy, "spec"), "validations") as {
        message: string;
      }[];
      expect(validations.map(({ message }) => message)).toEqual([
        "genie may change its own node only",
        hasTaint
          ? "genie may change no taint but genie/not-ready"
          : "genie may not change taints",
        hasLabels
          ? "genie may change no label but networks.genie/*"
          : "genie may not change labels",
        "genie may not change annotations",
        "genie may not change finalizers",
        "genie may not change owners",
        "genie may not change a node's spec",
        "genie may not change a node's status",
      ]);
    },
  );
});
