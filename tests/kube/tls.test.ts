/** Trust: authorities, names, proxies, and an environment that wants otherwise. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { hasOnlyRoots, systemAuthorities } from "../../lib/kube/access/pem.ts";
import { type ApiServer, startApiServer } from "../support/api-server.ts";
import { makeCerts } from "../support/certs.ts";
import {
  kubeOf,
  pod,
  podAnswer,
  temporaryFile,
  thrownBy,
  startServer,
} from "./fixtures.ts";

const certs = makeCerts();
const caData = (text: string) => ({
  "certificate-authority-data": Buffer.from(text).toString("base64"),
});
const noAuthority = { "certificate-authority-data": undefined };

const server = await startServer();

function getPod(cluster: object, from = server) {
  return kubeOf({ kubeconfig: from.kubeconfig({ cluster }) }).getPod(
    "shop",
    "web",
  );
}

describe("certificate", () => {
  test.each([
    ["authority in the kubeconfig", {}],
    [
      "authority in a file",
      { ...noAuthority, "certificate-authority": certs.ca.certFile },
    ],
    ["authority in a bundle", caData(certs.foreignCa.cert + certs.ca.cert)],
    ["authority that is no root: the certificate", caData(certs.server.cert)],
    [
      "insecure-skip-tls-verify without authority",
      { ...noAuthority, "insecure-skip-tls-verify": true },
    ],
    [
      "tls-server-name that the certificate has",
      { "tls-server-name": "localhost" },
    ],
  ])("certificate, %s: accepted", async (_, cluster) => {
    expect(await getPod(cluster)).toStrictEqual(podAnswer);
  });

  test.each([
    [
      "another authority",
      caData(certs.foreignCa.cert),
      "SELF_SIGNED_CERT_IN_CHAIN",
    ],
    ["no authority: the system's", noAuthority, "SELF_SIGNED_CERT_IN_CHAIN"],
    [
      "another tls-server-name",
      { "tls-server-name": "kubernetes.test" },
      "issued for another name",
    ],
  ])(
    "certificate, %s: error 11 at once, nothing sent",
    async (_, cluster, reason) => {
      const thrown = await thrownBy(getPod(cluster));
      expect(thrown.code).toBe(11);
      // Which of the two codes OpenSSL gives depends on the chain that the server sends.
      expect(
        thrown.msg.replace(/UNABLE_TO_\w+/, "SELF_SIGNED_CERT_IN_CHAIN"),
      ).toBe(
        `failed to get pod "shop/web": server "${server.url}": certificate not trusted: ${reason}`,
      );
      expect(server.requests).toEqual([]);
    },
  );

  test("certificate for a name only: refused by address, accepted with tls-server-name", async () => {
    await using named = await startApiServer({ identity: certs.namedServer });
    named.pods.put(pod);
    expect((await thrownBy(getPod({}, named))).msg).toEndWith(
      "certificate not trusted: issued for another name",
    );
    const cluster = { "tls-server-name": "kubernetes.test" };
    expect(await getPod(cluster, named)).toStrictEqual(podAnswer);
  });

  test.each([
    [
      "data",
      caData("S3CRET"),
      "certificate-authority-data: holds no PEM certificate",
    ],
    [
      "file missing",
      { ...noAuthority, "certificate-authority": "/nonexistent" },
      'certificate-authority: failed to read "/nonexistent": no such file or directory',
    ],
    [
      "data beside insecure-skip-tls-verify",
      { "insecure-skip-tls-verify": true },
      "certificate-authority-data: not allowed with insecure-skip-tls-verify",
    ],
    [
      "file beside insecure-skip-tls-verify",
      {
        ...noAuthority,
        "certificate-authority": certs.ca.certFile,
        "insecure-skip-tls-verify": true,
      },
      "certificate-authority: not allowed with insecure-skip-tls-verify",
    ],
  ])("certificate authority, %s: error 7", async (_, cluster, problem) => {
    const kubeconfig = server.kubeconfig({ cluster });
    expect(
      await thrownBy(kubeOf({ kubeconfig }).getPod("shop", "web")),
    ).toEqual({
      code: 7,
      msg: `kubeconfig "${kubeconfig}": clusters.0.cluster.${problem}`,
    });
  });

  test("server without TLS: error 11 at once", async () => {
    using plain = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () => Response.json(pod),
    });
    const url = `https://127.0.0.1:${plain.port}`;
    expect(await thrownBy(getPod({ server: url }))).toEqual({
      code: 11,
      status: undefined,
      msg: `failed to get pod "shop/web": server "${url}": the TLS handshake failed`,
    });
  });

  test("plain HTTP server: used as it is configured", async () => {
    using plain = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () => Response.json(pod),
    });
    expect(
      await kubeOf({ server: `http://127.0.0.1:${plain.port}` }).getPod(
        "shop",
        "web",
      ),
    ).toStrictEqual(podAnswer);
  });

  test("server in brackets that hold an IPv4 address: that address, verified", async () => {
    const cluster = { server: `https://[127.0.0.1]:${server.port}` };
    expect(await getPod(cluster)).toStrictEqual(podAnswer);
    await using foreign = await startApiServer({
      identity: certs.foreignServer,
    });
    const thrown = await thrownBy(
      getPod({ server: `https://[127.0.0.1]:${foreign.port}` }),
    );
    expect(thrown.msg).toContain("certificate not trusted");
  });

  test.each([
    [{ server: "https://fd00::1" }, "kubernetes"],
    [{ policy: { server: "https://fd00::1" } }, "policy"],
  ])(
    "server of the configuration %j: error 7 naming %s",
    async (options, of) => {
      const kubeconfig = server.kubeconfig();
      expect(
        await thrownBy(
          kubeOf({ kubeconfig, ...options }).getPod("shop", "web"),
        ),
      ).toEqual({
        code: 7,
        msg: `${of}.k8s_api_root "https://fd00::1": an IPv6 address needs brackets`,
      });
    },
  );

  test.each([
    ["no server", { server: undefined }, "the cluster has no server"],
    [
      "no URL",
      { server: "ftp://user:S3CRET@host" },
      'server "ftp://…@host": expected an http or https URL',
    ],
    [
      "a control character, a long one",
      { server: `https://a\n${"b".repeat(200)}` },
      `server "https://a\\n${"b".repeat(118)}…": it has a blank, a backslash or a control character`,
    ],
    [
      "SOCKS proxy",
      { "proxy-url": "socks5://user:S3CRET@host" },
      'proxy-url "socks5://…@host": SOCKS proxies are not supported, only http and https',
    ],
  ])("cluster, %s: error 7, no content", async (_, cluster, problem) => {
    const kubeconfig = server.kubeconfig({ cluster });
    expect(
      await thrownBy(kubeOf({ kubeconfig }).getPod("shop", "web")),
    ).toEqual({
      code: 7,
      msg: `kubeconfig "${kubeconfig}": ${problem}`,
    });
  });
});

describe("hasOnlyRoots", () => {
  test.each([
    ["a root", certs.ca.cert, true],
    ["two roots", certs.foreignCa.cert + certs.ca.cert, true],
    ["a certificate of another issuer", certs.server.cert, false],
    ["a root and another", certs.ca.cert + certs.server.cert, false],
    ["no DER", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END", false],
    ["no base64", "-----BEGIN CERTIFICATE-----\n?\n-----END", false],
    ["no PEM", "", false],
  ])("hasOnlyRoots, %s", (_, pem, expected) => {
    expect(hasOnlyRoots(pem)).toBe(expected);
  });
});

describe("systemAuthorities", () => {
  test("systemAuthorities, first bundle that is one: its text", async () => {
    const garbage = temporaryFile("nothing");
    expect(
      await systemAuthorities(["/nonexistent", garbage, certs.ca.certFile]),
    ).toEqual([certs.ca.cert]);
  });

  test("systemAuthorities, no bundle: those built in, never an empty list", async () => {
    const authorities = await systemAuthorities([]);
    expect(authorities.length).toBeGreaterThan(50);
    expect(authorities[0]).toStartWith("-----BEGIN CERTIFICATE-----");
  });
});

describe("proxy-url", () => {
  test("proxy-url: the call goes through a CONNECT of that proxy, verified end to end", async () => {
    using proxy = startProxy();
    const cluster = {
      "proxy-url": `http://name:secret@127.0.0.1:${proxy.port}`,
    };
    expect(await getPod(cluster)).toStrictEqual(podAnswer);
    const authorization = `Basic ${btoa("name:secret")}`;
    expect(proxy.connects).toEqual([
      { target: `127.0.0.1:${server.port}`, authorization },
    ]);
    const thrown = await thrownBy(
      getPod({ ...cluster, ...caData(certs.foreignCa.cert) }),
    );
    expect(thrown.msg).toContain("certificate not trusted");
    expect(thrown.msg).not.toContain("secret");
    expect(server.requests).toHaveLength(1);
  });
});

describe("proxy-url, what comes through it", () => {
  const through = ({ port }: { port: number }) => ({
    "proxy-url": `http://127.0.0.1:${port}`,
  });

  test.each([1, 2, 3])(
    "proxy-url, response in chunks of %p bytes: letters of several bytes whole",
    async (bytes) => {
      using proxy = startProxy();
      const annotations = { owner: "Grüße, 5 € 😀" };
      const metadata = { ...pod.metadata, name: "letters", annotations };
      server.pods.put({ metadata });
      server.inject({ kind: "chunks", bytes });
      const kubeconfig = server.kubeconfig({ cluster: through(proxy) });
      expect(
        await kubeOf({ kubeconfig }).getPod("shop", "letters"),
      ).toStrictEqual({ metadata });
    },
  );

  test.each([true, false])(
    "proxy-url, 5 MiB, length stated %p: error 11",
    async (stated) => {
      using proxy = startProxy();
      server.inject({ kind: "huge", bytes: 5 << 20, stated });
      expect(await thrownBy(getPod(through(proxy)))).toEqual({
        code: 11,
        status: undefined,
        msg: `failed to get pod "shop/web": the response of server "${server.url}" is larger than 4 MiB`,
      });
    },
  );

  test("proxy-url, proxy that refuses: tried again, then 11 without its password", async () => {
    using proxy = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(socket) {
          socket.end("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        },
      },
    });
    const url = `http://name:S3CRET@127.0.0.1:${proxy.port}`;
    const kubeconfig = server.kubeconfig({ cluster: { "proxy-url": url } });
    const kube = kubeOf({ kubeconfig }, { apiTimeout: 200 });
    expect(await thrownBy(kube.getPod("shop", "web"))).toEqual({
      code: 11,
      status: undefined,
      msg: `failed to get pod "shop/web": server "${server.url}": the proxy refused the connection (2 tries)`,
    });
  });
});

describe("hostile environment", () => {
  // Nothing listens there: who asks this proxy fails.
  const env = {
    NODE_TLS_REJECT_UNAUTHORIZED: "0",
    HTTPS_PROXY: "http://127.0.0.1:1",
    ALL_PROXY: "http://127.0.0.1:1",
    NODE_EXTRA_CA_CERTS: certs.foreignCa.certFile,
    SSL_CERT_FILE: certs.foreignCa.certFile,
    BUN_CONFIG_VERBOSE_FETCH: "curl",
  };

  const script = `
    import { createKube } from ${JSON.stringify(join(import.meta.dir, "../../lib/kube/client.ts"))};
    const [kubeconfig] = process.argv.slice(1);
    const kube = createKube({ kubeconfig }, { apiTimeout: 2000 });
    const pod = await kube.getPod("shop", "web").then(() => "got it", ({ code, message }) => code + " " + message);
    await Bun.write(Bun.stdout, pod);
  `;

  async function run(kubeconfig: string, more: Record<string, string> = {}) {
    const child = Bun.spawn({
      cmd: [process.execPath, "-e", script, kubeconfig],
      env: { PATH: process.env["PATH"], ...env, ...more },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr] = await Promise.all([
      child.stdout.text(),
      child.stderr.text(),
    ]);
    return { stdout, stderr };
  }

  let impostor: ApiServer;

  beforeAll(async () => {
    impostor = await startApiServer({ identity: certs.foreignServer });
    impostor.pods.put(pod);
  });

  afterAll(() => impostor.stop());

  test("hostile environment, right authority: reached without proxy, no token printed", async () => {
    expect(await run(server.kubeconfig({ cluster: {} }))).toEqual({
      stdout: "got it",
      stderr: "",
    });
  });

  test.each([
    ["an authority", {}],
    ["no authority", noAuthority],
  ])(
    "hostile environment, kubeconfig with %s: the impostor is refused",
    async (_, cluster) => {
      const { stdout, stderr } = await run(impostor.kubeconfig({ cluster }));
      expect(stdout).toStartWith(
        `11 failed to get pod "shop/web": server "${impostor.url}": certificate not trusted: `,
      );
      expect(stderr).toBe("");
      expect(impostor.requests).toEqual([]);
    },
  );

  test("hostile environment, NO_PROXY: does not take the kubeconfig's proxy away", async () => {
    using proxy = startProxy();
    const cluster = { "proxy-url": `http://127.0.0.1:${proxy.port}` };
    const { stdout } = await run(server.kubeconfig({ cluster }), {
      NO_PROXY: "*",
    });
    expect(stdout).toBe("got it");
    expect(proxy.connects).toHaveLength(1);
  });
});

interface Proxied {
  upstream?: Bun.Socket;
  /** Bytes for the client that its socket did not take yet. */
  waiting?: Buffer;
}

/** An HTTP proxy that knows nothing but CONNECT. */
function startProxy() {
  const connects: { target: string; authorization: string | undefined }[] = [];
  const listener = Bun.listen<Proxied>({
    hostname: "127.0.0.1",
    port: 0,
    data: {},
    socket: {
      open(client) {
        client.data = {};
      },
      async data(client, chunk) {
        const { upstream } = client.data;
        if (upstream) {
          upstream.write(chunk);
          return;
        }
        const head = chunk.toString();
        const target = /^CONNECT (\S+) /.exec(head)?.[1] ?? "";
        const authorization = /^proxy-authorization: (.*)\r$/im.exec(head)?.[1];
        connects.push({ target, authorization });
        const [hostname = "", port] = target.split(":");
        client.data.upstream = await Bun.connect({
          hostname,
          port: Number(port),
          socket: {
            data: (_, response) => send(client, response),
            close: () => void client.end(),
          },
        });
        client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      },
      drain(client) {
        const { waiting } = client.data;
        delete client.data.waiting;
        if (waiting) send(client, waiting);
      },
      close: (client) => void client.data.upstream?.end(),
    },
  });
  return {
    port: listener.port,
    connects,
    [Symbol.dispose]: () => listener.stop(true),
  };
}

/** All of it: a socket that is full takes a part, and the rest when it drains. */
function send(client: Bun.Socket<Proxied>, bytes: Buffer): void {
  const { waiting } = client.data;
  if (waiting) {
    client.data.waiting = Buffer.concat([waiting, bytes]);
    return;
  }
  const rest = bytes.subarray(client.write(bytes));
  if (rest.length > 0) client.data.waiting = Buffer.from(rest);
}
