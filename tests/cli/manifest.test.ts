import { describe, expect, test } from "bun:test";
import { isObject, own } from "../../lib/cni/json.ts";
import { parts as agentParts } from "../../lib/agent/parts.ts";
import { nodePolicy } from "../../lib/cli/manifest/admission-policy.ts";
import { type } from "./fixtures.ts";

async function documents(...words: string[]): Promise<unknown[]> {
  const { exitCode, stdout, stderr } = await type(["manifest", ...words]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  // Anchors and aliases are YAML, but nothing that people want to read.
  expect(stdout).not.toMatch(/^\s*[&*]\w+$/m);
  return [Bun.YAML.parse(stdout)].flat();
}

const kinds = (objects: unknown[]) =>
  objects.map((object) => own(object, "kind"));

function theOnly(objects: unknown[], kind: string): Record<string, unknown> {
  const found = objects.find((one) => own(one, "kind") === kind);
  if (!isObject(found)) throw new Error(`no ${kind}`);
  return found;
}

const podSpec = (objects: unknown[]) =>
  own(own(own(theOnly(objects, "DaemonSet"), "spec"), "template"), "spec") as {
    serviceAccountName?: string;
    automountServiceAccountToken: boolean;
    hostNetwork: boolean;
    containers: Container[];
    volumes: { name: string; hostPath?: { path: string; type?: string } }[];
  };

type Probe = { exec: { command: string[] }; httpGet?: object };

interface Container {
  startupProbe: Probe;
  readinessProbe: Probe;
  livenessProbe: Probe;
  name: string;
  image: string;
  args: string[];
  ports?: object[];
  securityContext: Record<string, unknown>;
  volumeMounts: {
    name: string;
    mountPath: string;
    readOnly?: boolean;
    mountPropagation?: string;
  }[];
}

const image = "--image=registry.test/genie:1";

const watchDefinitions = {
  apiGroups: ["k8s.cni.cncf.io"],
  resources: ["network-attachment-definitions"],
  verbs: ["list", "watch"],
};

describe("manifest", () => {
  const account = [
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
  ];
  const nodes = ["ClusterRole", "ClusterRoleBinding"];

  test.each<[words: string[], kinds: string[]]>([
    [[], [...account, ...nodes, "ConfigMap"]],
    [[image], [...account, ...nodes, "ConfigMap", "DaemonSet"]],
    [
      [image, "--service-account"],
      [...account, "ConfigMap", "DaemonSet"],
    ],
    [
      [image, "--node-credentials"],
      [...nodes, "ConfigMap", "DaemonSet"],
    ],
  ])(
    "%p, objects in the order in which they can be applied",
    async (words, expected) => {
      expect(kinds(await documents(...words))).toEqual([
        "CustomResourceDefinition",
        ...expected,
      ]);
    },
  );

  test("without --image, a comment says that there is no DaemonSet", async () => {
    const { stdout } = await type(["manifest"]);
    expect(stdout).toStartWith("# Without a DaemonSet: it needs --image");
    expect(stdout).not.toContain("image:");
  });

  test("the account, may do what genie does and nothing else", async () => {
    const objects = await documents("-n", "net");
    expect(own(theOnly(objects, "ClusterRole"), "rules")).toEqual([
      { apiGroups: [""], resources: ["pods"], verbs: ["get"] },
      { apiGroups: [""], resources: ["pods/status"], verbs: ["patch"] },
      {
        apiGroups: ["k8s.cni.cncf.io"],
        resources: ["network-attachment-definitions"],
        verbs: ["get"],
      },
      // The agent's part --cache is on by default.
      watchDefinitions,
    ]);
    const { roleRef, subjects } = theOnly(objects, "ClusterRoleBinding");
    expect({
      roleRef,
      subjects,
      account: own(theOnly(objects, "ServiceAccount"), "metadata"),
    }).toEqual({
      roleRef: {
        apiGroup: "rbac.authorization.k8s.io",
        kind: "ClusterRole",
        name: "genie",
      },
      subjects: [{ kind: "ServiceAccount", name: "genie", namespace: "net" }],
      account: { name: "genie", namespace: "net" },
    });
  });

  test("the policy, holds that account to our annotations", async () => {
    const objects = await documents("-n", "net");
    const spec = theOnly(objects, "ValidatingAdmissionPolicy")["spec"];
    expect(spec).toMatchObject({
      failurePolicy: "Fail",
      matchConstraints: {
        resourceRules: [
          {
            apiGroups: [""],
            apiVersions: ["v1"],
            operations: ["UPDATE"],
            resources: ["pods", "pods/*"],
          },
        ],
      },
      matchConditions: [
        {
          name: "is-genie",
          expression:
            'request.userInfo.username == "system:serviceaccount:net:genie"',
        },
      ],
      variables: [
        {
          name: "keys",
          expression:
            '["multi-ip-preferences","k8s.v1.cni.cncf.io/network-status"]',
        },
        { name: "before" },
        { name: "after" },
        { name: "nodes" },
      ],
    });
    expect(
      theOnly(objects, "ValidatingAdmissionPolicyBinding")["spec"],
    ).toEqual({ policyName: "genie", validationActions: ["Deny"] });
  });

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
    const { health } = await import("../../lib/cli/command/watch.ts");
    const { readInput } = await import("../../lib/cli/command/input.ts");
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

  test.each([
    ["--uninstall", "--uninstall needs --image"],
    ["--conf-dir=net.d", "--conf-dir: expected an absolute path of the nodes"],
    ["--textfile=./x", "--textfile: expected an absolute path"],
    ["--data-dir=/", "--data-dir: expected an absolute path of the nodes"],
    ["--metrics=9464x", '--metrics: expected [HOST:]PORT, got "9464x"'],
    ["--metrics=:0", "--metrics: the DaemonSet needs a port, got 0"],
    ["--metrics=70000", '--metrics: expected [HOST:]PORT, got "70000"'],
    ["--image=a/B:1", '"a/B:1" is not the name of an image'],
    ["--image=a:1:2", '"a:1:2" is not the name of an image'],
    ["--image=a@1", '"a@1" is not the name of an image'],
  ])("%s alone, is a usage error", async (word, text) => {
    expect(await type(["manifest", word])).toMatchObject({
      exitCode: 2,
      stdout: "",
      stderr: expect.stringContaining(text),
    });
  });

  test.each(["genie", "localhost:5000/a/b_c", "[::1]:5000/a:1", "R.test/a"])(
    "--image=%s, is a name",
    async (name) => {
      const { exitCode } = await type(["manifest", `--image=${name}`]);
      expect(exitCode).toBe(0);
    },
  );

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
      const { agent } = await import("../../lib/cli/agent.ts");
      const { readInput } = await import("../../lib/cli/command/input.ts");
      const input = readInput(agent, containers[0]?.args.slice(1) ?? []);
      expect([
        input.text("root"),
        input.text("default"),
        input.flag("no-install"),
        input.text("service-account"),
      ]).toEqual(["/host", "a", false, directory]);
    },
  );

  test("--node-credentials, the nodes may get definitions, no account", async () => {
    const objects = await documents(image, "--node-credentials");
    expect(theOnly(objects, "ClusterRole")).toMatchObject({
      metadata: { name: "genie-nodes" },
      rules: [
        {
          apiGroups: ["k8s.cni.cncf.io"],
          resources: ["network-attachment-definitions"],
          verbs: ["get"],
        },
        watchDefinitions,
      ],
    });
    expect(theOnly(objects, "ClusterRoleBinding")).toMatchObject({
      roleRef: { name: "genie-nodes" },
      subjects: [
        {
          kind: "Group",
          name: "system:nodes",
          apiGroup: "rbac.authorization.k8s.io",
        },
      ],
    });
    expect(podSpec(objects)).toMatchObject({
      automountServiceAccountToken: false,
    });
    expect(podSpec(objects)).not.toHaveProperty("serviceAccountName");
  });

  test("the definition of definitions, is NPWG's", async () => {
    const crd = theOnly(await documents(), "CustomResourceDefinition");
    expect(crd).toMatchObject({
      apiVersion: "apiextensions.k8s.io/v1",
      metadata: { name: "network-attachment-definitions.k8s.cni.cncf.io" },
      spec: {
        group: "k8s.cni.cncf.io",
        scope: "Namespaced",
        names: {
          plural: "network-attachment-definitions",
          singular: "network-attachment-definition",
          kind: "NetworkAttachmentDefinition",
          shortNames: ["net-attach-def", "nad"],
        },
        versions: [
          {
            name: "v1",
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: {
                properties: {
                  spec: { properties: { config: { type: "string" } } },
                },
              },
            },
          },
        ],
      },
    });
  });

  test("--dra, two rights of the account and nothing else", async () => {
    const [plain, dra] = [await documents(), await documents("--dra")];
    const role = theOnly(dra, "ClusterRole");
    const rules = own(role, "rules") as object[];
    expect(rules.splice(-2)).toEqual([
      {
        apiGroups: ["resource.k8s.io"],
        resources: ["resourceslices"],
        verbs: ["list"],
      },
      {
        apiGroups: ["resource.k8s.io"],
        resources: ["resourceclaims"],
        verbs: ["get"],
      },
    ]);
    expect(dra).toEqual(plain);
    // The node authorizer allows both.
    expect(await documents("--dra", "--node-credentials")).toEqual(
      await documents("--node-credentials"),
    );
  });

  test("--logical-networks, CNI-Genie's kinds, the rights to read them, policies", async () => {
    const objects = await documents("--logical-networks");
    const definitions = objects.filter(
      (one) => own(one, "kind") === "CustomResourceDefinition",
    );
    expect(definitions.slice(1)).toMatchObject(
      ["Logicalnetwork", "Physicalnetwork"].map((kind) => ({
        apiVersion: "apiextensions.k8s.io/v1",
        metadata: { name: `${kind.toLowerCase()}s.alpha.network.k8s.io` },
        spec: { scope: "Namespaced", names: { kind } },
      })),
    );
    const rule = {
      apiGroups: ["alpha.network.k8s.io"],
      resources: ["logicalnetworks", "physicalnetworks"],
      verbs: ["get"],
    };
    const roles = objects.filter((one) => own(one, "kind") === "ClusterRole");
    expect(roles.map((one) => own(one, "rules"))).toEqual([
      expect.arrayContaining([rule]),
      expect.arrayContaining([rule]),
    ]);
    const policies = objects.flatMap((one) =>
      own(one, "kind") === "ValidatingAdmissionPolicy"
        ? [own(own(one, "metadata"), "name")]
        : [],
    );
    expect(policies).toEqual([
      "genie",
      "genie-logical-networks",
      "genie-physical-networks",
      "genie-logical-in-physical-networks",
      "genie-physical-around-logical-networks",
    ]);
    const byNode = await documents("--logical-networks", "--node-credentials");
    expect(kinds(byNode)).not.toContain("ServiceAccount");
  });

  test.each<[words: string[], mutations: RegExp[]]>([
    [["--namespace-networks"], [/"\/metadata\/annotations"/]],
    [["--network-scheduling"], [/"\/spec\/nodeSelector"/]],
    [
      ["--network-scheduling", "--namespace-networks"],
      [/"\/metadata\/annotations"/, /"\/spec\/nodeSelector"/],
    ],
  ])("%j, one policy that fails open, on CREATE only", async (words, parts) => {
    const objects = await documents(...words);
    const policy = theOnly(objects, "MutatingAdmissionPolicy");
    const binding = theOnly(objects, "MutatingAdmissionPolicyBinding");
    const spec = policy["spec"];
    expect(spec).toMatchObject({
      failurePolicy: "Ignore",
      matchConstraints: {
        resourceRules: [
          {
            apiGroups: [""],
            apiVersions: ["v1"],
            operations: ["CREATE"],
            resources: ["pods"],
          },
        ],
      },
    });
    const mutations = own(spec, "mutations") as {
      patchType: string;
      jsonPatch: { expression: string };
    }[];
    expect(mutations.map(({ patchType }) => patchType)).toEqual(
      parts.map(() => "JSONPatch"),
    );
    for (const [i, part] of parts.entries())
      expect(mutations[i]?.jsonPatch.expression).toMatch(part);
    expect(binding["spec"]).toEqual({
      policyName: own(policy["metadata"], "name"),
    });
  });
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
        "genie may not change a node's spec",
        "genie may not change a node's status",
      ]);
    },
  );
});
