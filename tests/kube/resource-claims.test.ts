/** ResourceSlices, a pod's claims and a claim's devices against a real TLS server (devices.md). */
import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  test,
} from "bun:test";
import {
  getAllocation,
  getPodClaims,
  listSliceDevices,
} from "../../lib/kube/resource-claims.ts";
import { unknownKindFault } from "../support/api-faults.ts";
import { type ApiServer, startApiServer } from "../support/api-server.ts";
import { kubeOf, thrownBy } from "./fixtures.ts";

const driver = "nic.example.com";
const string = "x/vf";
const attributes = { "k8s.cni.cncf.io/resourceName": { string } };

const slice = (name: string, generation: number, extra: object = {}) => ({
  spec: {
    nodeName: "node1",
    driver,
    pool: { name: "pool", generation, resourceSliceCount: 1 },
    devices: [{ name, attributes }],
    ...extra,
  },
});

const results = [
  { request: "vf", driver, pool: "pool", device: "vf-0" },
  { request: "gpu/big", driver: "gpu", pool: "pool", device: "gpu-0" },
  { request: "vf", driver, pool: "pool", device: "vf-0", shareID: "s1" },
];
const claim = {
  metadata: { namespace: "shop", name: "nic" },
  status: { allocation: { devices: { results } } },
};

const group = "/apis/resource.k8s.io";
const selector =
  "fieldSelector=spec.nodeName%3Dnode1%2Cspec.driver%3Dnic.example.com";

describe.each(["v1", "v1beta1"])("a server of %s", (version) => {
  let server: ApiServer;
  beforeAll(async () => {
    server = await startApiServer({
      resourceVersions: [version],
      allow: ({ resource, namespace }) =>
        namespace !== "denied" && resource !== "pods/status",
    });
  });
  afterAll(() => server.stop());
  beforeEach(() => {
    server.requests.length = 0;
    server.slices.length = 0;
  });

  const kube = () => kubeOf({ kubeconfig: server.kubeconfig() });
  const asked = () => server.requests.map(({ path }) => path);
  const versions = version === "v1" ? ["v1"] : ["v1", "v1beta1"];

  test("listSliceDevices: one LIST of the driver on the node", async () => {
    server.slices.push(
      slice("vf-0", 1),
      slice("elsewhere", 1, { nodeName: "node2" }),
      slice("gpu-0", 1, { driver: "gpu" }),
      // v1beta1's form.
      slice("", 1, { devices: [{ name: "vf-1", basic: { attributes } }] }),
    );
    expect(await listSliceDevices(kube(), "node1", driver)).toEqual([
      { pool: "pool", device: "vf-0", attributes },
      { pool: "pool", device: "vf-1", attributes },
    ]);
    expect(asked()).toEqual(
      versions.map((one) => `${group}/${one}/resourceslices?${selector}`),
    );
  });

  test("listSliceDevices: of each pool the newest generation", async () => {
    server.slices.push(
      slice("old", 1),
      slice("new", 2),
      slice("other", 1, { pool: { name: "other" }, devices: null }),
      slice("bare", 1, { pool: { name: "bare" } }),
    );
    const found = await listSliceDevices(kube(), "node1", driver);
    expect(found.map(({ device }) => device)).toEqual(["new", "bare"]);
  });

  test("listSliceDevices: a list that is null", async () => {
    server.inject({
      match: ({ path }) => path.includes("resourceslices"),
      kind: "answer",
      body: '{"items":null}',
    });
    expect(await listSliceDevices(kube(), "node1", driver)).toEqual([]);
  });

  test("getAllocation: the devices of the claim's status", async () => {
    server.claims.put(claim);
    expect(await getAllocation(kube(), claim.metadata)).toEqual(
      results.map(({ shareID: share = "", ...one }) => ({ ...one, share })),
    );
    expect(asked()).toEqual(
      versions.map(
        (one) => `${group}/${one}/namespaces/shop/resourceclaims/nic`,
      ),
    );
    server.claims.put({ ...claim, status: {} });
    expect(await getAllocation(kube(), claim.metadata)).toEqual([]);
  });

  test("getAllocation: another failure is not asked of another version", async () => {
    server.inject({ kind: "answer", status: 403 });
    const { code } = await thrownBy(getAllocation(kube(), claim.metadata));
    expect({ code, asked: asked() }).toEqual({
      code: 11,
      asked: [`${group}/v1/namespaces/shop/resourceclaims/nic`],
    });
  });

  test("getAllocation: a missing claim is an error 11 that says so", async () => {
    const missing = { namespace: "shop", name: "none" };
    const { code, msg } = await thrownBy(getAllocation(kube(), missing));
    expect(code).toBe(11);
    expect(msg).toBe(
      'failed to get resourceclaim "shop/none": not found: "resourceclaims \\"none\\" not found"',
    );
  });
});

describe("errors", () => {
  let server: ApiServer;
  beforeAll(async () => {
    server = await startApiServer({
      resourceVersions: [],
      allow: ({ namespace }) => namespace !== "denied",
    });
  });
  afterAll(() => server.stop());
  const kube = () => kubeOf({ kubeconfig: server.kubeconfig() });

  test("a server without the group: error 11 that says so", async () => {
    server.inject({ ...unknownKindFault });
    const { msg, status } = await thrownBy(
      listSliceDevices(kube(), "node1", driver),
    );
    expect({ msg, status }).toEqual({
      msg: `failed to list resourceslices of driver "${driver}": not found: the server knows neither resource.k8s.io/v1 nor v1beta1: Dynamic Resource Allocation is not enabled`,
      status: 404,
    });
  });

  test.each<[string, string, string]>([
    ["no JSON", "<html>", "expected an object, got nothing"],
    ["no list", "{}", "items: expected an array, got nothing"],
    [
      "no pool",
      '{"items":[{"spec":{}}]}',
      "items.0.spec.pool: expected an object, got nothing",
    ],
  ])("%s: error 11", async (_, body, problem) => {
    server.inject({ kind: "answer", body });
    const { code, msg } = await thrownBy(
      listSliceDevices(kube(), "node1", driver),
    );
    expect(code).toBe(11);
    expect(msg).toBe(
      `failed to list resourceslices of driver "${driver}": invalid response: ${problem}`,
    );
  });

  test("denied: error 11 with the server's words", async () => {
    const found = await thrownBy(
      getPodClaims(kube(), { namespace: "denied", name: "web" }),
    );
    expect(found).toMatchObject({ code: 11, status: 403 });
  });
});

describe("getPodClaims", () => {
  let server: ApiServer;
  beforeAll(async () => {
    server = await startApiServer();
    server.pods.put({
      metadata: { namespace: "shop", name: "web", uid: "u1" },
      spec: {
        resourceClaims: [
          { name: "nic", resourceClaimTemplateName: "template" },
          { name: "shared", resourceClaimName: "claim-1" },
          { name: "unmade", resourceClaimTemplateName: "template" },
        ],
      },
      status: {
        resourceClaimStatuses: [
          { name: "nic", resourceClaimName: "web-nic-x1" },
          { name: "unmade" },
        ],
      },
    });
    server.pods.put({
      metadata: { namespace: "shop", name: "plain", uid: "u2" },
      spec: {},
    });
  });
  afterAll(() => server.stop());
  const claimsOf = (name: string, uid?: string) =>
    getPodClaims(kubeOf({ kubeconfig: server.kubeconfig() }), {
      namespace: "shop",
      name,
      uid,
    });

  test("those that exist, by their names in the pod", async () => {
    expect(await claimsOf("web", "u1")).toEqual(
      new Map([
        ["shared", "claim-1"],
        ["nic", "web-nic-x1"],
      ]),
    );
    expect(await claimsOf("plain")).toEqual(new Map());
  });

  test("another pod of the name: error 11", async () => {
    expect(await thrownBy(claimsOf("web", "u2"))).toMatchObject({
      code: 11,
      msg: 'failed to get pod "shop/web": the pod of that name has uid "u1", not "u2"',
    });
  });
});
