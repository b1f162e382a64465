/** Calls, retries, limits and messages against a real TLS server (selection.md §1, §6, §7). */
import { describe, expect, test } from "bun:test";
import { Deadline } from "../../lib/linux/deadline.ts";
import {
  type Try,
  definitionRequest,
  fetchPod,
  requireAccess,
} from "../../lib/kube/client.ts";
import {
  type Fault,
  statusFault,
  unknownKindFault,
} from "../support/api-faults.ts";
import { startApiServer } from "../support/api-server.ts";
import {
  fakeTime,
  kubeOf,
  pod,
  podAnswer,
  temporaryFile,
  thrownBy,
  startServer,
} from "./fixtures.ts";

const server = await startServer({
  allow: ({ namespace }) => namespace !== "denied",
});
const kubeconfig = server.kubeconfig();

const path = "/api/v1/namespaces/shop/pods/web";
const get = { method: "GET", path, user: "genie" };
const failed = 'failed to get pod "shop/web"';

describe("getPod", () => {
  test("getPod: one GET, the metadata that genie reads", async () => {
    expect(await kubeOf({ kubeconfig }).getPod("shop", "web")).toStrictEqual(
      podAnswer,
    );
    expect(server.requests).toEqual([{ ...get, status: 200 }]);
  });

  test.each([
    ["absent", "", {}],
    ["null", ',"annotations":null', {}],
    [
      "named as Object's own",
      ',"annotations":{"constructor":"a","__proto__":"b"}',
      Object.fromEntries([
        ["constructor", "a"],
        ["__proto__", "b"],
      ]),
    ],
  ])(
    "getPod, annotations %s: strings by own property",
    async (_, json, annotations) => {
      server.inject({
        kind: "answer",
        body: `{"metadata":{"uid":"u"${json}}}`,
      });
      expect(await kubeOf({ kubeconfig }).getPod("shop", "web")).toStrictEqual({
        metadata: { uid: "u", annotations },
      });
    },
  );

  test.each([1, 2, 3])(
    "getPod, response in chunks of %p bytes: letters of two, three and four bytes whole",
    async (bytes) => {
      const annotations = { owner: "Grüße, 5 € 😀" };
      const metadata = { ...pod.metadata, annotations };
      server.pods.put({ metadata });
      server.inject({ kind: "chunks", bytes });
      expect(await kubeOf({ kubeconfig }).getPod("shop", "web")).toStrictEqual({
        metadata,
      });
    },
  );

  test("getPod, name to encode: one segment of the path", async () => {
    await thrownBy(kubeOf({ kubeconfig }).getPod("shop", "a/../b?c#d%"));
    expect(server.requests.map((request) => request.path)).toEqual([
      "/api/v1/namespaces/shop/pods/a%2F..%2Fb%3Fc%23d%25",
    ]);
  });

  test("getPod, name that is no text: what UTF-8 makes of it, not found", async () => {
    const thrown = await thrownBy(
      kubeOf({ kubeconfig }).getPod("shop", "a\ud800"),
    );
    expect(thrown.status).toBe(404);
    expect(server.requests.map((request) => request.path)).toEqual([
      "/api/v1/namespaces/shop/pods/a%EF%BF%BD",
    ]);
  });

  test.each([["."], [".."], [""]])(
    "getPod, name %p: error 4, no call",
    async (name) => {
      expect(
        await thrownBy(kubeOf({ kubeconfig }).getPod("shop", name)),
      ).toEqual({
        code: 4,
        msg: `failed to get pod "shop/${name}": expected a name, got "${name}"`,
      });
      expect(server.requests).toEqual([]);
    },
  );

  test("getPod, server with a path: kept before /api", async () => {
    await using rancher = await startApiServer({ prefix: "/k8s/clusters/c-1" });
    rancher.pods.put(pod);
    await kubeOf({ kubeconfig: rancher.kubeconfig() }).getPod("shop", "web");
    expect(rancher.requests.map((request) => request.path)).toEqual([
      `/k8s/clusters/c-1${path}`,
    ]);
  });

  test.each([
    [404, "absent", `not found: "pods \\"web\\" not found"`],
    [
      403,
      "denied",
      `forbidden: "pods \\"web\\" is forbidden: User \\"genie\\" cannot get resource \\"pods\\" in the namespace \\"denied\\""`,
    ],
  ])(
    "getPod, %p: error 11 at once naming verb and object",
    async (status, namespace, text) => {
      const kube = kubeOf({ kubeconfig });
      expect(await thrownBy(kube.getPod(namespace, "web"))).toEqual({
        code: 11,
        status,
        msg: `failed to get pod "${namespace}/web": ${text}`,
      });
      expect(server.requests).toHaveLength(1);
    },
  );
});

describe("retry", () => {
  test.each<[string, Fault]>([
    ["500", statusFault(500)],
    ["503", statusFault(503)],
    ["429", statusFault(429)],
    ["connection closed", { kind: "close" }],
    ["answer cut off", { kind: "truncate" }],
  ])("retry, %s once: tried again after a pause", async (_, fault) => {
    const { seams, pauses } = fakeTime();
    // A server of its own: on a connection used before, fetch itself tries again when it is closed.
    await using failing = await startApiServer();
    failing.pods.put(pod);
    failing.inject(fault);
    const kube = kubeOf({ kubeconfig: failing.kubeconfig() }, seams);
    expect(await kube.getPod("shop", "web")).toStrictEqual(podAnswer);
    expect(pauses).toEqual([100]);
    expect(failing.requests).toHaveLength(2);
  });

  test("retry, 500 without end: growing pauses within the budget, then 11", async () => {
    const { seams, pauses } = fakeTime();
    const fault = statusFault(500, { message: "etcd is away" });
    await using broken = await startApiServer();
    broken.inject({ ...fault, times: Infinity });
    const kube = kubeOf({ kubeconfig: broken.kubeconfig() }, seams);
    expect(await thrownBy(kube.getPod("shop", "web"))).toEqual({
      code: 11,
      status: 500,
      msg: `${failed}: internal server error: "etcd is away" (9 tries)`,
    });
    expect(pauses).toEqual([100, 200, 400, 800, 1600, 2000, 2000, 2000]);
  });

  test.each([
    [0, 50],
    [0.5, 75],
  ])("retry, random %p: the first pause is %p ms", async (random, pause) => {
    const { seams, pauses } = fakeTime();
    server.inject(statusFault(500));
    await kubeOf({ kubeconfig }, { ...seams, random: () => random }).getPod(
      "shop",
      "web",
    );
    expect(pauses).toEqual([pause]);
  });

  test.each([
    ["seconds", "3", 3000],
    ["a date", "Thu, 01 Jan 2026 00:00:04 GMT", 4000],
    ["a date in the past", "Thu, 01 Jan 2015 00:00:00 GMT", 100],
    ["nonsense", "soon", 100],
  ])(
    "retry, 429 with Retry-After %s: waits as long",
    async (_, value, pause) => {
      const { seams, pauses } = fakeTime();
      server.inject(statusFault(429, { headers: { "retry-after": value } }));
      await kubeOf({ kubeconfig }, seams).getPod("shop", "web");
      expect(pauses).toEqual([pause]);
    },
  );

  test("retry, Retry-After beyond the budget: 11 at once", async () => {
    const { seams, pauses } = fakeTime();
    server.inject(statusFault(429, { headers: { "retry-after": "10" } }));
    expect(
      await thrownBy(kubeOf({ kubeconfig }, seams).getPod("shop", "web")),
    ).toEqual({
      code: 11,
      status: 429,
      msg: `${failed}: too many requests: "fault 429"`,
    });
    expect(pauses).toEqual([]);
  });

  test("retry, connection refused: until the budget is used up", async () => {
    const { seams, pauses } = fakeTime();
    const gone = await startApiServer();
    const options = {
      kubeconfig: temporaryFile(await Bun.file(gone.kubeconfig()).text()),
    };
    await gone.stop();
    const kube = kubeOf(options, { ...seams, apiTimeout: 500 });
    expect(await thrownBy(kube.getPod("shop", "web"))).toEqual({
      code: 11,
      status: undefined,
      msg: `${failed}: server "${gone.url}": connection refused (3 tries)`,
    });
    expect(pauses).toEqual([100, 200]);
  });

  test.each([["stall"], ["half"]] as const)(
    "retry, server that %ps: each try at most 3 s, then 11",
    async (kind) => {
      const time = fakeTime();
      await using slow = await startApiServer();
      const limits: number[] = [];
      // Each try is over as soon as the server has it; only the fake clock moves.
      const timeout = (ms: number): AbortSignal => {
        limits.push(ms);
        const controller = new AbortController();
        const reached = (): void => {
          time.advance(ms);
          controller.abort();
        };
        slow.inject({ kind, reached });
        return controller.signal;
      };
      const kube = kubeOf(
        { kubeconfig: slow.kubeconfig() },
        { ...time.seams, timeout },
      );
      expect(await thrownBy(kube.getPod("shop", "web"))).toEqual({
        code: 11,
        status: undefined,
        msg: `${failed}: server "${slow.url}": no response in time (4 tries)`,
      });
      expect(limits).toEqual([3000, 3000, 3000, 300]);
      expect(slow.requests).toHaveLength(4);
    },
  );

  test("retry, phase that ends sooner than the budget: wins", async () => {
    const { seams, pauses } = fakeTime();
    server.inject({ ...statusFault(500), times: 2 });
    const deadline = new Deadline(250, seams.clock);
    const thrown = await thrownBy(
      kubeOf({ kubeconfig }, { ...seams, deadline }).getPod("shop", "web"),
    );
    expect(thrown.status).toBe(500);
    expect(pauses).toEqual([100]);
  });

  test("retry, phase that is over: no call, 11", async () => {
    const { seams } = fakeTime();
    const deadline = new Deadline(0, seams.clock);
    const kube = kubeOf({ kubeconfig }, { ...seams, deadline });
    expect((await thrownBy(kube.getPod("shop", "web"))).code).toBe(11);
    expect(server.requests).toEqual([]);
  });

  test("retry, 401 then the kubeconfig has another token: read again, tried at once", async () => {
    const { seams, pauses } = fakeTime();
    const stale = server.kubeconfig({ user: { token: "stale" } });
    const fresh = await Bun.file(kubeconfig).text();
    const kube = kubeOf({ kubeconfig: stale }, seams);
    server.inject({
      kind: "answer",
      status: 401,
      body: "{}",
      // The new one is there by the time of the answer.
      match: () => Bun.write(stale, fresh) !== undefined,
    });
    expect(await kube.getPod("shop", "web")).toStrictEqual(podAnswer);
    expect(pauses).toEqual([]);
    expect(server.requests.map(({ user, status }) => [user, status])).toEqual([
      [undefined, 401],
      ["genie", 200],
    ]);
  });

  test("retry, 401 then the kubeconfig has another server: that one is asked", async () => {
    await using other = await startApiServer();
    other.pods.put(pod);
    const stale = server.kubeconfig({ user: { token: "stale" } });
    const fresh = await Bun.file(other.kubeconfig()).text();
    server.inject({
      kind: "answer",
      status: 401,
      body: "{}",
      match: () => Bun.write(stale, fresh) !== undefined,
    });
    const kube = kubeOf({ kubeconfig: stale });
    expect(await kube.getPod("shop", "web")).toStrictEqual(podAnswer);
    expect([server.requests.length, other.requests.length]).toEqual([1, 1]);
  });
});

describe("tried", () => {
  test("tried, each request: method, path, status, problem, milliseconds", async () => {
    const { seams } = fakeTime();
    const tries: Try[] = [];
    server.inject(statusFault(503));
    const tried = (one: Try) => void tries.push(one);
    await kubeOf({ kubeconfig }, { ...seams, tried }).getPod("shop", "web");
    const ms = expect.any(Number);
    const method = "GET";
    expect(tries).toEqual([
      {
        method,
        path,
        status: 503,
        problem: 'service unavailable: "fault 503"',
        ms,
      },
      { method, path, status: 200, ms },
    ]);
  });

  test("tried, connection closed: no status", async () => {
    const { seams } = fakeTime();
    const tries: Try[] = [];
    await using failing = await startApiServer();
    failing.pods.put(pod);
    failing.inject({ kind: "close" });
    const tried = (one: Try) => void tries.push(one);
    const options = { kubeconfig: failing.kubeconfig() };
    await kubeOf(options, { ...seams, tried }).getPod("shop", "web");
    expect(tries.map(({ status, problem }) => [status, problem])).toEqual([
      [undefined, `server "${failing.url}": connection closed`],
      [200, undefined],
    ]);
  });
});

describe("invalid response", () => {
  const where = (): string => `server "${server.url}"`;

  test.each<[string, Fault, () => string]>([
    [
      "garbage",
      { kind: "answer", body: "<html>S3CRET" },
      () => "the response is not a JSON object",
    ],
    ["nothing", { kind: "answer" }, () => "the response is not a JSON object"],
    [
      "a list",
      { kind: "answer", body: "[]" },
      () => "the response is not a JSON object",
    ],
    [
      "null",
      { kind: "answer", body: "null" },
      () => "the response is not a JSON object",
    ],
    [
      "no metadata",
      { kind: "answer", body: "{}" },
      () => "invalid response: metadata: expected an object, got nothing",
    ],
    [
      "a uid that is a number",
      { kind: "answer", body: '{"metadata":{"uid":5}}' },
      () => "invalid response: metadata.uid: expected a string, got a number",
    ],
    [
      "an annotation that is no string",
      { kind: "answer", body: '{"metadata":{"annotations":{"cni":["a"]}}}' },
      () =>
        "invalid response: metadata.annotations.cni: expected a string, got an array",
    ],
    [
      "annotations that are a text",
      { kind: "answer", body: '{"metadata":{"annotations":"a"}}' },
      () =>
        "invalid response: metadata.annotations: expected an object, got a string",
    ],
    [
      "a redirect",
      { kind: "answer", status: 302, headers: { location: "/elsewhere" } },
      () => `${where()}: redirected elsewhere`,
    ],
    [
      "5 MiB",
      { kind: "huge", bytes: 5 << 20 },
      () => `the response of ${where()} is larger than 4 MiB`,
    ],
    [
      "5 MiB with its length",
      { kind: "huge", bytes: 5 << 20, stated: true },
      () => `the response of ${where()} is larger than 4 MiB`,
    ],
  ])(
    "invalid response, %s: error 11, not tried again, not quoted",
    async (_, fault, problem) => {
      server.inject(fault);
      expect(
        await thrownBy(kubeOf({ kubeconfig }).getPod("shop", "web")),
      ).toEqual({
        code: 11,
        status: undefined,
        msg: `${failed}: ${problem()}`,
      });
      expect(server.requests).toHaveLength(1);
    },
  );

  test("answer of just 4 MiB: read", async () => {
    const metadata = { ...pod.metadata, annotations: { filler: "" } };
    const size = (4 << 20) - JSON.stringify({ metadata }).length;
    metadata.annotations.filler = "a".repeat(size);
    server.inject({ kind: "answer", body: JSON.stringify({ metadata }) });
    expect(await kubeOf({ kubeconfig }).getPod("shop", "web")).toStrictEqual({
      metadata,
    });
  });

  test("answer with the wrong content type: what counts is the text", async () => {
    const headers = { "content-type": "text/html" };
    server.inject({ kind: "answer", headers, body: JSON.stringify(pod) });
    expect(await kubeOf({ kubeconfig }).getPod("shop", "web")).toStrictEqual(
      podAnswer,
    );
  });

  const token = `eyJhbGciOiJSUzI1NiJ9.${"S3CRET".repeat(20)}.${"x9".repeat(40)}`;
  const basic = Buffer.from("name:pass:word").toString("base64");

  test.each<[string, object, string, string]>([
    ["the token", { token }, `a ${token}, b`, "a …, b"],
    ["half of the token", { token }, `a ${token.slice(30, 90)} b`, "a … b"],
    ["the token twice", { token }, `${token}${token.slice(7)}`, "……"],
    [
      "the header",
      { token },
      `Authorization: Bearer ${token}`,
      "Authorization: Bearer …",
    ],
    ["a short token", { token: "tok" }, "a tok b", "a … b"],
    [
      "a token as in a URL",
      { token: "a+b/c=d&e" },
      "x a%2Bb%2Fc%3Dd%26e y",
      "x … y",
    ],
    ["another web token", { token: "tok" }, `a ${token} b`, "a … b"],
    ["another bearer", { token: "tok" }, "Bearer S3CRET-2, b", "Bearer …, b"],
    [
      "no secret",
      { token: "tok" },
      "bearer authentication failed",
      "bearer authentication failed",
    ],
    [
      "a login",
      { username: "name", password: "pass:word" },
      `${basic} name:pass:word pass:word name`,
      "… … … name",
    ],
    [
      "its header",
      { username: "name", password: "pass:word" },
      `Basic ${basic}`,
      "Basic …",
    ],
  ])(
    "message of the server that echoes %s: redacted",
    async (_, user, message, shown) => {
      const options = { kubeconfig: server.kubeconfig({ user }) };
      server.inject(statusFault(403, { message }));
      expect(
        await thrownBy(kubeOf(options).getPod("shop", "web")),
      ).toMatchObject({
        msg: `${failed}: forbidden: ${JSON.stringify(shown)}`,
      });
    },
  );

  test("message of the server: cut, escaped, without our token", async () => {
    const message = `Bearer test-token\u0000${"x".repeat(200)}`;
    server.inject(statusFault(403, { message }));
    expect(
      (await thrownBy(kubeOf({ kubeconfig }).getPod("shop", "web"))).msg,
    ).toBe(`${failed}: forbidden: "Bearer …\\u0000${"x".repeat(117)}…"`);
  });
});

const definition = {
  metadata: { namespace: "shop", name: "fast", uid: "d" },
};

describe("getDefinition", () => {
  test.each([
    [
      "with a configuration",
      { spec: { config: "{}", other: 1 } },
      { config: "{}" },
    ],
    ["with an empty spec", { spec: {} }, {}],
    ["without spec", {}, {}],
  ])("getDefinition, %s: its path and its spec", async (_, rest, spec) => {
    server.definitions.put({ ...definition, ...rest });
    expect(
      await kubeOf({ kubeconfig }).getDefinition("shop", "fast"),
    ).toStrictEqual({
      metadata: { ...definition.metadata, annotations: {} },
      spec,
    });
    expect(server.requests.map((request) => request.path)).toEqual([
      "/apis/k8s.cni.cncf.io/v1/namespaces/shop/network-attachment-definitions/fast",
    ]);
  });

  test("getDefinition, missing: status 404 for the caller to tell", async () => {
    expect(
      await thrownBy(kubeOf({ kubeconfig }).getDefinition("shop", "none")),
    ).toEqual({
      code: 11,
      status: 404,
      msg: 'failed to get network attachment definition "shop/none": not found: "network-attachment-definitions \\"none\\" not found"',
    });
  });
});

describe("cachedReads", () => {
  const cachedPath = `${path}?resourceVersion=0`;
  const paths = () => server.requests.map((request) => request.path);
  const { uid } = pod.metadata;
  const kube = () => kubeOf({ kubeconfig }, { cachedReads: true });

  test("fetchPod, a pod with uid: one GET from the cache", async () => {
    const identity = { namespace: "shop", name: "web", uid };
    expect(await fetchPod(kube(), identity)).toMatchObject({ uid });
    expect(paths()).toEqual([cachedPath]);
  });

  test("fetchPod, without uid: from etcd", async () => {
    const identity = { namespace: "shop", name: "web" };
    expect(await fetchPod(kube(), identity)).toMatchObject({ uid });
    expect(paths()).toEqual([path]);
  });

  test("fetchPod, the cache has an earlier pod of the name: from etcd", async () => {
    const body = '{"metadata":{"name":"web","uid":"earlier"}}';
    server.inject({ kind: "answer", body });
    const identity = { namespace: "shop", name: "web", uid };
    expect(await fetchPod(kube(), identity)).toMatchObject({ uid });
    expect(paths()).toEqual([cachedPath, path]);
  });

  test("fetchPod, both have another pod: error 11", async () => {
    const identity = { namespace: "shop", name: "web", uid: "later" };
    expect(await thrownBy(fetchPod(kube(), identity))).toMatchObject({
      code: 11,
      msg: `${failed}: the pod of that name has uid ${JSON.stringify(uid)}, not "later"`,
    });
  });

  test("getDefinition, not yet in the cache: from etcd", async () => {
    server.definitions.put(definition);
    server.inject(statusFault(404));
    expect(await kube().getDefinition("shop", "fast")).toMatchObject({
      metadata: { name: "fast" },
    });
    const { path: latest } = definitionRequest("shop", "fast");
    expect(paths()).toEqual([`${latest}?resourceVersion=0`, latest]);
  });

  test("getDefinition, neither has it: status 404", async () => {
    expect(await thrownBy(kube().getDefinition("shop", "none"))).toMatchObject({
      status: 404,
    });
    expect(server.requests).toHaveLength(2);
  });

  test("getDefinition, denied: not asked again", async () => {
    const denied = kube().getDefinition("denied", "fast");
    expect(await thrownBy(denied)).toMatchObject({ status: 403 });
    expect(server.requests).toHaveLength(1);
  });

  test("fetchPod, 500 without end: one budget for the read", async () => {
    const { seams, pauses } = fakeTime();
    server.inject({ ...statusFault(500), times: 9 });
    const slow = kubeOf({ kubeconfig }, { ...seams, cachedReads: true });
    const identity = { namespace: "shop", name: "web", uid };
    expect(await thrownBy(fetchPod(slow, identity))).toMatchObject({
      status: 500,
    });
    expect(pauses).toHaveLength(8);
  });

  test("fetchPod, failures before and after an earlier pod: one budget for both reads", async () => {
    const { seams, pauses } = fakeTime();
    await using failing = await startApiServer();
    failing.inject({ ...statusFault(500), times: 7 });
    const body = '{"metadata":{"name":"web","uid":"earlier"}}';
    failing.inject({ kind: "answer", body });
    failing.inject({ ...statusFault(500), times: Infinity });
    const options = { kubeconfig: failing.kubeconfig() };
    const slow = kubeOf(options, { ...seams, cachedReads: true });
    const identity = { namespace: "shop", name: "web", uid };
    expect(await thrownBy(fetchPod(slow, identity))).toMatchObject({
      status: 500,
    });
    expect(pauses.reduce((sum, ms) => sum + ms, 0)).toBeLessThanOrEqual(10_000);
  });
});

describe("404 of a kind that is not installed", () => {
  const notInstalled =
    "the kind NetworkAttachmentDefinition is not installed: the cluster has no CustomResourceDefinition network-attachment-definitions.k8s.cni.cncf.io";
  const generic = statusFault(404, {
    message: "the server could not find the requested resource",
    details: { causes: [{ message: "404 page not found" }] },
  });

  test.each<[string, Fault]>([
    ["text", unknownKindFault],
    ["a Status without a name", generic],
    ["nothing", { kind: "answer", status: 404 }],
  ])("getDefinition, %s: says so", async (_, fault) => {
    server.inject(fault);
    expect(
      await thrownBy(kubeOf({ kubeconfig }).getDefinition("shop", "none")),
    ).toEqual({
      code: 11,
      status: 404,
      msg: `failed to get network attachment definition "shop/none": not found: ${notInstalled}`,
    });
  });

  test("getDefinition, a Status that names the object in its message alone: it is missing", async () => {
    server.inject(statusFault(404, { message: 'no "none" here' }));
    expect(
      (await thrownBy(kubeOf({ kubeconfig }).getDefinition("shop", "none")))
        .msg,
    ).toEndWith('not found: "no \\"none\\" here"');
  });

  test("getPod, text: says that this is no API server", async () => {
    server.inject(unknownKindFault);
    expect(
      await thrownBy(kubeOf({ kubeconfig }).getPod("shop", "web")),
    ).toEqual({
      code: 11,
      status: 404,
      msg: `${failed}: not found: the server knows no pods: is it an API server?`,
    });
  });
});

describe("patchPodStatus", () => {
  const patch = {
    metadata: { uid: "uid-1", annotations: { "network-status": "[]" } },
  };

  test("patchPodStatus, same uid: merged into the annotations", async () => {
    expect(
      await kubeOf({ kubeconfig }).patchPodStatus("shop", "web", patch),
    ).toBe("patched");
    expect(server.pods.get("shop", "web")?.metadata.annotations).toEqual({
      cni: "flannel",
      "network-status": "[]",
    });
    expect(server.requests).toEqual([
      { method: "PATCH", path: `${path}/status`, status: 200, user: "genie" },
    ]);
  });

  test("patchPodStatus, another uid: gone, nothing changed", async () => {
    const other = { metadata: { ...patch.metadata, uid: "uid-2" } };
    expect(
      await kubeOf({ kubeconfig }).patchPodStatus("shop", "web", other),
    ).toBe("gone");
    expect(server.pods.get("shop", "web")?.metadata.annotations).toEqual({
      cni: "flannel",
    });
  });

  const aboutUid = [{ reason: "FieldValueInvalid", field: "metadata.uid" }];
  const tooLong = [
    { reason: "FieldValueTooLong", field: "metadata.annotations" },
  ];

  test.each<[string, Fault]>([
    ["404", statusFault(404)],
    ["404 of a proxy", { kind: "answer", status: 404, body: "<html>" }],
    ["409", statusFault(409)],
    ["422 about the uid", statusFault(422, { details: { causes: aboutUid } })],
    [
      "422 about the uid and more",
      statusFault(422, { details: { causes: [...tooLong, ...aboutUid] } }),
    ],
    [
      "422 about the uid, told by its message alone",
      statusFault(422, {
        message:
          'Pod "web" is invalid: metadata.uid: Invalid value: "u": field is immutable',
      }),
    ],
  ])("patchPodStatus, %s: gone", async (_, fault) => {
    server.inject(fault);
    expect(
      await kubeOf({ kubeconfig }).patchPodStatus("shop", "web", patch),
    ).toBe("gone");
  });

  test.each<[string, object | undefined, string]>([
    [
      "too long",
      { causes: tooLong },
      'Pod "web" is invalid: metadata.annotations: Too long: may not be more than 262144 bytes',
    ],
    ["something", undefined, "cannot be"],
    ["nothing that we know", { causes: [{}, null, { field: 5 }] }, "cannot be"],
    ["no list", { causes: "metadata.uid" }, "cannot be"],
  ])(
    "patchPodStatus, 422 because of %s: error 11",
    async (_, details, message) => {
      server.inject(statusFault(422, { message, ...(details && { details }) }));
      expect(
        await thrownBy(
          kubeOf({ kubeconfig }).patchPodStatus("shop", "web", patch),
        ),
      ).toEqual({
        code: 11,
        status: 422,
        msg: `failed to patch status of pod "shop/web": invalid: ${JSON.stringify(message)}`,
      });
    },
  );

  test("patchPodStatus, 403: error 11 naming verb and object", async () => {
    expect(
      await thrownBy(
        kubeOf({ kubeconfig }).patchPodStatus("denied", "web", patch),
      ),
    ).toEqual({
      code: 11,
      status: 403,
      msg: 'failed to patch status of pod "denied/web": forbidden: "pods/status \\"web\\" is forbidden: User \\"genie\\" cannot patch resource \\"pods/status\\" in the namespace \\"denied\\""',
    });
  });

  test("patchPodStatus, 503 without end: 3 s in all, then 11", async () => {
    const { seams, pauses } = fakeTime();
    server.inject({ ...statusFault(503), times: 5 });
    const kube = kubeOf({ kubeconfig }, seams);
    expect(
      (await thrownBy(kube.patchPodStatus("shop", "web", patch))).msg,
    ).toBe(
      'failed to patch status of pod "shop/web": service unavailable: "fault 503" (5 tries)',
    );
    expect(pauses).toEqual([100, 200, 400, 800]);
  });
});

describe("checkAccess", () => {
  test("checkAccess, readable: no call", async () => {
    await requireAccess({ kubeconfig });
    expect(server.requests).toEqual([]);
  });

  test("checkAccess, nothing configured and no pod around us: error 7", async () => {
    expect(await thrownBy(requireAccess({}, { env: {} }))).toEqual({
      code: 7,
      msg: "no API server: neither a kubeconfig nor a server is configured",
    });
  });
});
