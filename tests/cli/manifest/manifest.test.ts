import { describe, expect, test } from "bun:test";
import { own } from "../../../lib/cni/json.ts";
import { type } from "../fixtures.ts";
import {
  documents,
  image,
  kinds,
  podSpec,
  theOnly,
  watchDefinitions,
} from "./documents.ts";

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

  test.each<[words: string[], warning: string]>([
    [
      ["--network-scheduling"],
      "genie manifest: warning: --network-scheduling needs --labels: without it, no node has the labels that pods wait for\n",
    ],
    [["--network-scheduling", "--labels"], ""],
    [["--labels"], ""],
  ])(
    "%j, warns if its agent does not set the labels",
    async (words, warning) => {
      const daemonSet = ["--image", "genie:1"];
      const { exitCode, stderr } = await type([
        "manifest",
        ...daemonSet,
        ...words,
      ]);
      expect([exitCode, stderr]).toEqual([0, warning]);
    },
  );

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
