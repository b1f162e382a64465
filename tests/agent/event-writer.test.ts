import { describe, expect, test } from "bun:test";
import {
  EventWriter,
  podSubject,
} from "../../lib/agent/report/event-writer.ts";
import type { AgentEvent } from "../../lib/agent/part.ts";
import { own } from "../../lib/cni/json.ts";
import type { Api } from "../../lib/kube/typed-api.ts";

const event: AgentEvent = {
  subject: podSubject({ namespace: "shop", name: "web", uid: "u" }),
  type: "Normal",
  reason: "AddedInterface",
  message: "Add net1 [] from a",
};

const pod = (i: number) =>
  podSubject({ namespace: "shop", name: `pod-${i}`, uid: `u${i}` });

/** A writer, its requests, and clocks that stand still. */
function started(statusOf: (method: string) => number = () => 200) {
  type Body = Record<string, unknown>;
  const requests: { method: string; path: string; body: Body }[] = [];
  const logged: string[] = [];
  let ms = 0;
  let date = 1_000_000;
  const writer = new EventWriter({
    node: "node1",
    now: () => new Date(date),
    uptimeMs: () => ms,
    log: (_, message, fields) =>
      void logged.push(`${message}: ${String(fields?.["error"])}`),
    api: () =>
      Promise.resolve({
        send: (path, _, change) => {
          const { method = "GET", body = {} } = change ?? {};
          const sent = JSON.parse(JSON.stringify(body)) as Body;
          requests.push({ method, path, body: sent });
          return Promise.resolve(
            new Response("", { status: statusOf(method) }),
          );
        },
      } satisfies Pick<Api, "send"> as Api),
  });
  return {
    writer,
    requests,
    logged,
    pass: (by: number) => void (ms += by),
    setClock: (to: number) => void (date = to),
  };
}

describe("EventWriter", () => {
  test("the same event: once, and a minute later with its count", async () => {
    const { writer, requests, pass } = started();
    writer.take(event);
    await writer.flush();
    writer.take(event);
    writer.take(event);
    pass(59_000);
    await writer.flush();
    expect(requests).toHaveLength(1);
    pass(1000);
    await writer.flush();
    await writer.flush();
    const [first, second] = requests;
    expect(first).toMatchObject({
      method: "POST",
      path: "/api/v1/namespaces/shop/events",
      body: { count: 1 },
    });
    const name = String(own(first?.body["metadata"], "name"));
    expect(requests).toHaveLength(2);
    expect(second).toEqual({
      method: "PATCH",
      path: `/api/v1/namespaces/shop/events/${name}`,
      body: { count: 3, lastTimestamp: new Date(1_000_000).toISOString() },
    });
  });

  test("the clock is set back: counts are written, and new events too", async () => {
    const { writer, requests, pass, setClock } = started();
    for (let i = 0; i < 80; i++) writer.take({ ...event, message: `${i}` });
    await writer.flush();
    setClock(0);
    pass(60_000);
    writer.take({ ...event, message: "0" });
    writer.take({ ...event, message: "new" });
    await writer.flush();
    expect(
      requests.slice(80).map(({ method, body }) => [method, body]),
    ).toMatchObject([
      ["PATCH", { count: 2, lastTimestamp: new Date(0).toISOString() }],
      ["POST", { message: "new" }],
    ]);
  });

  test("a failure of each try's sandbox: the same event", async () => {
    const { writer, requests } = started();
    for (const id of ["aaaaaaaa-1111-2222-3333-", "bbbbbbbb-4444-5555-6666-"])
      writer.take({
        ...event,
        message: `cannot open /run/netns/cni-${id}0123456789ab of ${id.slice(0, 8).repeat(8)}`,
      });
    await writer.flush();
    expect(requests.map(({ body }) => body["count"])).toEqual([2]);
  });

  test("another pod, reason or message: another event", async () => {
    const { writer, requests } = started();
    writer.take(event);
    writer.take({ ...event, message: "other" });
    writer.take({ ...event, reason: "Other" });
    writer.take({
      ...event,
      subject: podSubject({ namespace: "shop", name: "web", uid: "v" }),
    });
    await writer.flush();
    expect(requests).toHaveLength(4);
  });

  test("one that the API server has forgotten: made anew with its count", async () => {
    const { writer, requests, pass } = started((method) =>
      method === "PATCH" ? 404 : 201,
    );
    writer.take(event);
    await writer.flush();
    writer.take(event);
    pass(61_000);
    await writer.flush();
    expect(requests.map(({ method, body }) => [method, body["count"]])).toEqual(
      [
        ["POST", 1],
        ["PATCH", 2],
        ["POST", 2],
      ],
    );
  });

  test("a failure: told once, tried again a minute later", async () => {
    const { writer, requests, logged, pass } = started(() => 403);
    writer.take(event);
    writer.take({ ...event, message: "other" });
    await writer.flush();
    await writer.flush();
    expect([requests.length, logged]).toEqual([
      2,
      ["failed to write an event: forbidden"],
    ]);
    pass(61_000);
    await writer.flush();
    expect(requests).toHaveLength(4);
  });

  test("a long name of a pod, cut at a dot: a valid name of the event", async () => {
    const { writer, requests } = started();
    const name = `${"a".repeat(228)}-.${"b".repeat(20)}`;
    const subject = podSubject({ namespace: "shop", name, uid: "u" });
    writer.take({ ...event, subject });
    await writer.flush();
    expect(requests[0]?.body["metadata"]).toMatchObject({
      name: expect.stringMatching(/^a{228}\.[0-9a-f]{16}$/),
    });
  });

  test("control characters of a message, for instance of an interface name, are escaped", async () => {
    const { writer, requests } = started();
    writer.take({ ...event, message: "\u001b[1m (lan)" });
    await writer.flush();
    expect(requests[0]?.body["message"]).toBe("\\u001b[1m (lan)");
  });

  test("a message that is too long is cut; at most 500 events wait", async () => {
    const { writer, requests } = started();
    writer.take({ ...event, message: "x".repeat(5000) });
    await writer.flush();
    expect(
      Buffer.byteLength(String(requests[0]?.body["message"])),
    ).toBeLessThanOrEqual(1024);
    for (let i = 0; i < 600; i++) writer.take({ ...event, subject: pod(i) });
    await writer.flush();
    expect(requests).toHaveLength(501);
  });

  test("a pod whose events are never the same: 80 at once, then one each 30 s; another pod has its own", async () => {
    const { writer, requests, pass } = started();
    let made = 0;
    const take = (count: number) => {
      for (let i = 0; i < count; i++)
        writer.take({ ...event, message: `${made++}` });
      return writer.flush();
    };
    await take(100);
    expect(requests).toHaveLength(80);
    writer.take({ ...event, subject: pod(1) });
    pass(29_000);
    await take(2);
    expect(requests).toHaveLength(81);
    pass(1000);
    await take(2);
    expect(requests).toHaveLength(82);
    pass(60_000);
    await take(5);
    expect(requests).toHaveLength(84);
  });
});
