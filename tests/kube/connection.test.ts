/** The wire itself: reuse, order, whatever a server may do to it, and who it must be. */
import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createServer } from "node:tls";
import { type ApiServer, startApiServer } from "../support/api-server.ts";
import { type KeyPair, makeCerts } from "../support/certs.ts";
import {
  fakeTime,
  kubeOf,
  pod,
  podAnswer,
  temporaryFile,
  temporaryDirectory,
  thrownBy,
} from "./fixtures.ts";
import { kubeconfigJson } from "../support/kubeconfig.ts";

const certs = makeCerts();
const failed = 'failed to get pod "shop/web"';

/** The action of a raw server for the n-th request of a connection, counted from 0; undefined: nothing. */
type Script = (n: number, connection: number) => string | undefined;

interface Wire {
  url: string;
  kubeconfig: string;
  /** The requests of each connection. */
  connections: string[][];
}

const open: Disposable[] = [];

afterEach(() => {
  for (const server of open.splice(0)) server[Symbol.dispose]();
});

const end = "<end>";

/** TLS and bytes: an answer that ends with {@link end} is followed by the end of the connection. */
function startWire(script: Script): Wire {
  const connections: string[][] = [];
  const listener = Bun.listen<{ requests: string[]; index: number }>({
    hostname: "127.0.0.1",
    port: 0,
    tls: { key: certs.server.key, cert: certs.server.cert },
    data: { requests: [], index: 0 },
    socket: {
      open(socket) {
        const requests: string[] = [];
        socket.data = { requests, index: connections.push(requests) - 1 };
      },
      data(socket, chunk) {
        const { requests, index } = socket.data;
        for (const request of chunk.toString().split(/(?<=\r\n\r\n)/)) {
          const answer = script(requests.push(request) - 1, index);
          if (answer === undefined) continue;
          socket.write(answer.replace(end, ""));
          if (answer.endsWith(end)) socket.end();
        }
      },
    },
  });
  open.push({ [Symbol.dispose]: () => listener.stop(true) });
  const url = `https://127.0.0.1:${listener.port}`;
  return { url, kubeconfig: kubeconfigFor(url), connections };
}

function kubeconfigFor(server: string, cluster: object = {}): string {
  const authority = { "certificate-authority": certs.ca.certFile };
  return temporaryFile(
    kubeconfigJson({ server, ...authority, ...cluster }, { token: "S3CRET" }),
  );
}

/** The pod of that name, as an answer. */
function answerOf(name = "web", headers = ""): string {
  const body = JSON.stringify({ metadata: { ...pod.metadata, name } });
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${headers}\r\n${body}`;
}

const named = (name: string) => ({ metadata: { ...pod.metadata, name } });

describe("connection", () => {
  test("connection, request: HTTP/1.1 with the headers that count", async () => {
    const wire = startWire(() => answerOf());
    expect(
      await kubeOf({ kubeconfig: wire.kubeconfig }).getPod("shop", "web"),
    ).toStrictEqual(podAnswer);
    expect(wire.connections).toEqual([
      [
        [
          "GET /api/v1/namespaces/shop/pods/web HTTP/1.1",
          `Host: ${wire.url.slice("https://".length)}`,
          "User-Agent: genie",
          "Accept: application/json",
          "Authorization: Bearer S3CRET",
          "\r\n",
        ].join("\r\n"),
      ],
    ]);
  });

  test("connection, one call after the other: the same one", async () => {
    const wire = startWire(() => answerOf());
    const kube = kubeOf({ kubeconfig: wire.kubeconfig });
    for (let i = 0; i < 3; i++) await kube.getPod("shop", "web");
    await kube.patchPodStatus("shop", "web", { metadata: { uid: "ä" } });
    expect(wire.connections.map(({ length }) => length)).toEqual([5]);
    const [head, body] = wire.connections[0]?.slice(3) ?? [];
    expect(head).toContain("PATCH /api/v1/namespaces/shop/pods/web/status ");
    expect(head).toContain("\r\nContent-Length: 25\r\n");
    expect(body).toBe('{"metadata":{"uid":"ä"}}');
  });

  test("connection, with a client certificate: the same one", async () => {
    const wire = startWire(() => answerOf());
    const { certFile, keyFile } = certs.client("node");
    const kubeconfig = temporaryFile(
      kubeconfigJson(
        { server: wire.url, "certificate-authority": certs.ca.certFile },
        { "client-certificate": certFile, "client-key": keyFile },
      ),
    );
    const kube = kubeOf({ kubeconfig });
    for (let i = 0; i < 2; i++) await kube.getPod("shop", "web");
    expect(wire.connections.map(({ length }) => length)).toEqual([2]);
  });

  test("connect: a request that follows uses that connection, and nothing is sent before", async () => {
    const wire = startWire(() => answerOf());
    const kube = kubeOf({ kubeconfig: wire.kubeconfig });
    await kube.connect();
    await kube.connect();
    while (wire.connections.length === 0) await Bun.sleep(1);
    expect(wire.connections).toEqual([[]]);
    await kube.getPod("shop", "web");
    expect(wire.connections.map(({ length }) => length)).toEqual([1]);
  });

  test("connect: what fails is told by the request", async () => {
    const kube = kubeOf({ kubeconfig: "/nonexistent" });
    await kube.connect();
    const { msg } = await thrownBy(kube.getPod("shop", "web"));
    expect(msg).toContain('failed to read "/nonexistent"');
  });

  test("connection, body that no socket takes at once: arrives whole", async () => {
    await using server = await startApiServer();
    server.pods.put(pod);
    const long = "ä".repeat(1_900_000);
    const kube = kubeOf({ kubeconfig: server.kubeconfig() });
    const patch = {
      metadata: { uid: pod.metadata.uid, annotations: { long } },
    };
    expect(await kube.patchPodStatus("shop", "web", patch)).toBe("patched");
    const stored = server.pods.get("shop", "web")?.metadata.annotations;
    expect(stored?.["long"] === long).toBe(true);
  });

  test("connection, calls at once: each gets its own answer", async () => {
    const names = ["a", "b", "c", "d"];
    const wire = startWire((n) => answerOf(names[n]));
    const kube = kubeOf({ kubeconfig: wire.kubeconfig });
    expect(
      await Promise.all(names.map((name) => kube.getPod("shop", name))),
    ).toEqual(names.map(named));
    expect(wire.connections).toHaveLength(1);
  });

  test.each([
    ["says so", answerOf("web", "Connection: close\r\n")],
    ["does not say so", `${answerOf()}${end}`],
    [
      "ends the answer thereby",
      `HTTP/1.1 200 OK\r\n\r\n${JSON.stringify(pod)}${end}`,
    ],
    ["speaks HTTP/1.0", answerOf().replace("/1.1", "/1.0")],
  ])(
    "connection, server that closes after each answer and %s: the other calls on another one, no pause",
    async (_, answer) => {
      const { seams, pauses } = fakeTime();
      const wire = startWire((n) => (n === 0 ? answer : undefined));
      const kube = kubeOf({ kubeconfig: wire.kubeconfig }, seams);
      const calls = Array.from({ length: 12 }, () =>
        kube.getPod("shop", "web"),
      );
      expect(await Promise.all(calls)).toEqual(calls.map(() => podAnswer));
      await kube.getPod("shop", "web");
      expect(wire.connections).toHaveLength(13);
      expect(pauses).toEqual([]);
    },
  );

  test("connection, more bytes than were asked for: not taken for the next answer", async () => {
    const wire = startWire((n) =>
      n === 0 ? answerOf() + answerOf("forged") : answerOf(),
    );
    const kube = kubeOf({ kubeconfig: wire.kubeconfig });
    expect(await kube.getPod("shop", "web")).toEqual(podAnswer);
    expect(await kube.getPod("shop", "web")).toEqual(podAnswer);
    expect(wire.connections).toHaveLength(2);
  });

  test("connection, one answer that never comes: the calls behind it are tried again elsewhere", async () => {
    const { seams } = fakeTime();
    const wire = startWire((n, connection) =>
      connection === 0 ? undefined : answerOf(`${n}`),
    );
    const limit = new AbortController();
    const signals = [limit.signal];
    const timeout = () => signals.pop() ?? new AbortController().signal;
    const kube = kubeOf({ kubeconfig: wire.kubeconfig }, { ...seams, timeout });
    const calls = Promise.all([kube.getPod("a", "a"), kube.getPod("b", "b")]);
    while (wire.connections[0]?.length !== 2) await Bun.sleep(1);
    limit.abort();
    expect(await calls).toHaveLength(2);
    expect(wire.connections).toHaveLength(2);
  });
});

describe("malformed answer", () => {
  test.each([
    ["no HTTP", "SSH-2.0-OpenSSH_9.9\r\n\r\n"],
    ["lines that end with LF alone", "HTTP/1.1 200 OK\nX: S3CRET\n\n{}"],
    [
      "headers without end",
      `HTTP/1.1 200 OK\r\n${"X: S3CRET\r\n".repeat(7000)}`,
    ],
  ])(
    "malformed answer, %s: error 11 at once, not quoted",
    async (_, answer) => {
      const wire = startWire(() => answer);
      expect(
        await thrownBy(
          kubeOf({ kubeconfig: wire.kubeconfig }).getPod("shop", "web"),
        ),
      ).toEqual({
        code: 11,
        status: undefined,
        msg: `${failed}: server "${wire.url}": the response is not valid HTTP`,
      });
      expect(wire.connections).toHaveLength(1);
    },
  );

  test.each([
    ["a head", "HTTP/1.1 200 OK\r\nContent-Le"],
    [
      "a body of known length",
      "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
    ],
    [
      "chunks",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    ],
  ])(
    "malformed answer, connection closed within %s: tried again",
    async (_, answer) => {
      const { seams, pauses } = fakeTime();
      const wire = startWire((_n, connection) =>
        connection === 0 ? answer + end : answerOf(),
      );
      const kube = kubeOf({ kubeconfig: wire.kubeconfig }, seams);
      expect(await kube.getPod("shop", "web")).toEqual(podAnswer);
      expect(pauses).toEqual([100]);
    },
  );

  test("malformed answer, a byte now and then: over within the time of a try", async () => {
    using drip = dripping();
    const kubeconfig = kubeconfigFor(drip.url);
    const kube = kubeOf(
      { kubeconfig },
      { timeout: () => AbortSignal.timeout(100), apiTimeout: 50 },
    );
    const started = performance.now();
    expect((await thrownBy(kube.getPod("shop", "web"))).msg).toBe(
      `${failed}: server "${drip.url}": no response in time`,
    );
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});

/** Sends one letter of a header at a time, for ever. */
function dripping() {
  const timers = new Set<Timer>();
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    tls: { key: certs.server.key, cert: certs.server.cert },
    socket: {
      data(socket) {
        socket.write("HTTP/1.1 200 OK\r\nX: ");
        timers.add(setInterval(() => socket.write("y"), 5));
      },
    },
  });
  return {
    url: `https://127.0.0.1:${listener.port}`,
    [Symbol.dispose]() {
      for (const timer of timers) clearInterval(timer);
      listener.stop(true);
    },
  };
}

describe("identity", () => {
  test.each([
    [
      "expired",
      "CERT_HAS_EXPIRED",
      ["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"],
    ],
    [
      "not yet valid",
      "CERT_NOT_YET_VALID",
      ["-startdate", "20900101000000Z", "-enddate", "20910101000000Z"],
    ],
  ])(
    "identity, certificate %s: refused, nothing sent",
    async (_, code, dates) => {
      await using server = await startApiServer({ identity: issued(dates) });
      const thrown = await thrownBy(get(server));
      expect(thrown.msg).toBe(
        `${failed}: server "${server.url}": certificate not trusted: ${code}`,
      );
      expect(server.requests).toEqual([]);
    },
  );

  test.each([
    ["an address", "127.0.0.1", {}, [false]],
    ["a name", "localhost", {}, ["localhost"]],
    ["a name with a dot at its end", "localhost.", {}, ["localhost"]],
    [
      "an address with tls-server-name",
      "127.0.0.1",
      { "tls-server-name": "localhost" },
      ["localhost"],
    ],
  ])(
    "identity, server by %s: SNI as RFC 6066 wants it",
    async (_, host, cluster, expected) => {
      const names: unknown[] = [];
      const { promise: listening, resolve } = Promise.withResolvers<void>();
      const server = createServer(
        { key: certs.server.key, cert: certs.server.cert },
        (socket) => {
          names.push(socket.servername);
          socket.on("error", () => socket.destroy());
          socket.once("data", () => socket.end(answerOf()));
        },
      ).listen(0, "127.0.0.1", resolve);
      open.push({ [Symbol.dispose]: () => void server.close() });
      await listening;
      const address = server.address();
      const port = typeof address === "object" ? address?.port : undefined;
      const kubeconfig = kubeconfigFor(`https://${host}:${port}`, cluster);
      await kubeOf({ kubeconfig }).getPod("shop", "web");
      expect(names).toEqual(expected);
    },
  );

  test("identity, IPv6 address of the certificate: accepted", async () => {
    await using server = await startApiServer({ host: "::1" });
    server.pods.put(pod);
    expect(await get(server)).toEqual(podAnswer);
  });

  test("identity, IPv6 address that the certificate has not: refused, nothing sent", async () => {
    await using server = await startApiServer({
      host: "::1",
      identity: certs.namedServer,
    });
    expect((await thrownBy(get(server))).msg).toEndWith(
      "issued for another name",
    );
    expect(server.requests).toEqual([]);
  });
});

function get(server: ApiServer) {
  return kubeOf({ kubeconfig: server.kubeconfig() }).getPod("shop", "web");
}

/** A certificate for 127.0.0.1 of our authority; `openssl ca` because `req` makes none for the past. */
function issued(dates: readonly string[]): KeyPair {
  const directory = temporaryDirectory();
  const file = (name: string): string => join(directory, name);
  writeFileSync(file("index"), "");
  writeFileSync(file("serial"), "01\n");
  const policy =
    "[ca]\ndefault_ca=d\n[d]\npolicy=p\ndefault_md=sha256\n[p]\ncommonName=supplied\n";
  const directories = `[d]\ndatabase=${file("index")}\nserial=${file("serial")}\nnew_certs_dir=${directory}\n`;
  writeFileSync(
    file("config"),
    `${policy}${directories}[x]\nsubjectAltName=IP:127.0.0.1\n`,
  );
  const [keyFile, certFile, request] = [file("key"), file("crt"), file("csr")];
  const key = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
  ];
  openssl([
    "req",
    ...key,
    "-subj",
    "/CN=dated",
    "-keyout",
    keyFile,
    "-out",
    request,
  ]);
  const authority = ["-cert", certs.ca.certFile, "-keyfile", certs.ca.keyFile];
  const config = ["-config", file("config"), "-extensions", "x"];
  const files = ["-in", request, "-out", certFile];
  openssl([
    "ca",
    "-batch",
    "-notext",
    ...config,
    ...authority,
    ...files,
    ...dates,
  ]);
  const text = (path: string): string => readFileSync(path, "utf8");
  return { key: text(keyFile), cert: text(certFile), keyFile, certFile };
}

function openssl(args: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync({
    cmd: ["openssl", ...args],
    stderr: "pipe",
  });
  if (exitCode !== 0) throw new Error(stderr.toString());
}
