/** Whether the pod found is the pod meant (selection.md §1.2). */
import { describe, expect, test } from "bun:test";
import { fetchPod, isStaticPod } from "../../lib/kube/objects.ts";
import { thrownBy } from "./fixtures.ts";

function kubeWith(uid: string | undefined, annotations = {}) {
  const metadata = { ...(uid !== undefined && { uid }), annotations };
  return { getPod: () => Promise.resolve({ metadata }) };
}

const web = { namespace: "shop", name: "web" };

describe("fetchPod", () => {
  test.each([
    ["the same uid", "uid-1", {}],
    ["no uid in the request", undefined, {}],
    ["an empty uid in the request", "", {}],
    ["config.hash is the uid", "h", { "kubernetes.io/config.hash": "h" }],
    ["config.mirror is the uid", "h", { "kubernetes.io/config.mirror": "h" }],
  ])("fetchPod, %s: the pod", async (_, uid, annotations) => {
    expect(
      await fetchPod(kubeWith("uid-1", annotations), { ...web, uid }),
    ).toStrictEqual({ ...web, uid: "uid-1", annotations, isStatic: false });
  });

  test("fetchPod, mirror of a static pod: the API server's uid, static", async () => {
    const annotations = {
      "kubernetes.io/config.hash": "hash",
      "kubernetes.io/config.source": "file",
    };
    const kube = kubeWith("uid-1", annotations);
    expect(await fetchPod(kube, { ...web, uid: "hash" })).toStrictEqual({
      ...web,
      uid: "uid-1",
      annotations,
      isStatic: true,
    });
  });

  test("fetchPod, no uid anywhere: empty uid", async () => {
    expect(await fetchPod(kubeWith(undefined), web)).toStrictEqual({
      ...web,
      uid: "",
      annotations: {},
      isStatic: false,
    });
  });

  test.each([
    ["another uid", "uid-2", {}, 'uid "uid-2"'],
    ["no uid", undefined, {}, "no uid"],
    [
      "another hash",
      "uid-2",
      { "kubernetes.io/config.hash": "other" },
      'uid "uid-2"',
    ],
  ])("fetchPod, %s: error 11", async (_, uid, annotations, found) => {
    const fetched = fetchPod(kubeWith(uid, annotations), {
      ...web,
      uid: "uid-1",
    });
    expect(await thrownBy(fetched)).toEqual({
      code: 11,
      msg: `failed to get pod "shop/web": the pod of that name has ${found}, not "uid-1"`,
    });
  });
});

describe("isStaticPod", () => {
  test.each([
    [{}, false],
    [{ "kubernetes.io/config.source": "api" }, false],
    [{ "kubernetes.io/config.source": "file" }, true],
    [{ "kubernetes.io/config.source": "http" }, true],
  ])("isStaticPod, %p: %p", (annotations, expected) => {
    expect(isStaticPod(annotations)).toBe(expected);
  });
});
