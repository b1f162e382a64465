/** TLS sessions between processes: who resumes one, and who must not. */
import { afterAll, beforeEach, expect, setSystemTime, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { tlsSessionFile } from "../../lib/http/tls-session.ts";
import { makeCerts } from "../support/certs.ts";
import {
  kubeOf,
  pod,
  podAnswer,
  temporaryDirectory,
  temporaryFile,
  thrownBy,
} from "./fixtures.ts";
import { kubeconfigJson } from "../support/kubeconfig.ts";

const certs = makeCerts();
const body = JSON.stringify(pod);
const response = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
/** Whether each connection was resumed. */
const resumed: boolean[] = [];
const server = listen();
let sessionFile: string;

afterAll(() => server.stop(true));

beforeEach(() => {
  resumed.length = 0;
  sessionFile = join(temporaryDirectory(), tlsSessionFile);
});

function listen(port = 0) {
  return Bun.listen({
    hostname: "127.0.0.1",
    port,
    tls: { key: certs.server.key, cert: certs.server.cert },
    socket: {
      data(socket) {
        resumed.push(socket.isSessionReused());
        socket.write(response);
      },
    },
  });
}

interface Access {
  url?: string;
  cluster?: object;
  user?: object;
}

/** Each call is a process of its own: nothing but the file is kept. */
function getPod({ url, cluster, user }: Access = {}) {
  const trusted = {
    server: url ?? `https://127.0.0.1:${server.port}`,
    "certificate-authority": certs.ca.certFile,
    ...cluster,
  };
  const kubeconfig = temporaryFile(
    kubeconfigJson(trusted, { token: "t", ...user }),
  );
  return kubeOf({ kubeconfig }, { sessionFile }).getPod("shop", "web");
}

test("TLS session, the same access: resumed, the file has mode 0600 and is not written again", async () => {
  expect(await getPod()).toStrictEqual(podAnswer);
  const { mode, ino } = lstatSync(sessionFile);
  expect(mode & 0o777).toBe(0o600);
  expect(await getPod()).toStrictEqual(podAnswer);
  expect(await getPod({ user: { token: "another" } })).toStrictEqual(podAnswer);
  expect(resumed).toEqual([false, true, true]);
  expect(lstatSync(sessionFile).ino).toBe(ino);
  expect(readFileSync(sessionFile, "utf8")).not.toContain("PRIVATE KEY");
});

const client = certs.client("node");
test.each<[string, Access]>([
  [
    "another authority in the bundle",
    {
      cluster: {
        "certificate-authority-data": Buffer.from(
          certs.foreignCa.cert + certs.ca.cert,
        ).toString("base64"),
      },
    },
  ],
  ["another server name", { cluster: { "tls-server-name": "localhost" } }],
  [
    "a client certificate",
    {
      user: {
        "client-certificate": client.certFile,
        "client-key": client.keyFile,
      },
    },
  ],
  ["no verification", { cluster: insecure() }],
])("TLS session, %s: a full handshake", async (_, access) => {
  await getPod();
  expect(await getPod(access)).toStrictEqual(podAnswer);
  expect(await getPod(access)).toStrictEqual(podAnswer);
  expect(resumed).toEqual([false, false, true]);
});

function insecure() {
  return {
    "certificate-authority": undefined,
    "insecure-skip-tls-verify": true,
  };
}

test.each<[string, Access, string]>([
  [
    "of an access without verification",
    { cluster: insecure() },
    "SELF_SIGNED_CERT_IN_CHAIN",
  ],
  ["of a trusted access", {}, "SELF_SIGNED_CERT_IN_CHAIN"],
])(
  "TLS session %s: gives no trust to another authority",
  async (_, first, reason) => {
    await getPod(first);
    expect(existsSync(sessionFile)).toBe(true);
    const foreign = {
      cluster: { "certificate-authority": certs.foreignCa.certFile },
    };
    const { code, msg } = await thrownBy(getPod(foreign));
    expect(code).toBe(11);
    expect(msg.replace(/UNABLE_TO_\w+/, reason)).toEndWith(
      `certificate not trusted: ${reason}`,
    );
    expect(resumed).toEqual([false]);
  },
);

test.each([
  ["an hour later", 3_600_000],
  ["after the clock was set back", -1000],
])("TLS session %s: a full handshake", async (_, ms) => {
  await getPod();
  setSystemTime(new Date(Date.now() + ms));
  try {
    expect(await getPod()).toStrictEqual(podAnswer);
  } finally {
    setSystemTime();
  }
  expect(resumed).toEqual([false, false]);
});

test.each<[string, (path: string) => void]>([
  ["torn", (path) => writeFileSync(path, readFileSync(path).subarray(0, -20))],
  [
    "not a session",
    (path) => {
      const value = JSON.parse(readFileSync(path, "utf8"));
      writeFileSync(path, JSON.stringify({ ...value, session: "0011" }));
    },
  ],
  ["that others may write", (path) => chmodSync(path, 0o622)],
  [
    "that is a symbolic link",
    (path) => {
      renameSync(path, `${path}.real`);
      symlinkSync(`${path}.real`, path);
    },
  ],
  [
    "in a directory that others may write",
    (path) => chmodSync(join(path, ".."), 0o777),
  ],
])("TLS session, a file %s: a full handshake", async (_, damage) => {
  await getPod();
  damage(sessionFile);
  expect(await getPod()).toStrictEqual(podAnswer);
  expect(resumed).toEqual([false, false]);
});

test("TLS session, a directory that others may write: none is kept", async () => {
  chmodSync(join(sessionFile, ".."), 0o777);
  expect(await getPod()).toStrictEqual(podAnswer);
  expect(existsSync(sessionFile)).toBe(false);
});

/** BoringSSL's form: version, then octet strings: cipher (2 bytes), session ID, secret. */
function damageSecret(path: string): void {
  const text = readFileSync(path, "utf8");
  const [hex = ""] = /(?<="session":")[^"]*/.exec(text) ?? [];
  const session = Buffer.from(hex, "hex");
  const id = session.indexOf("0402", "hex") + 4;
  const secret = id + 2 + (session[id + 1] ?? 0) + 2;
  session.writeUInt8(session.readUInt8(secret) ^ 0xff, secret);
  writeFileSync(path, text.replace(hex, session.toString("hex")));
}

test("TLS session, the handshake fails with it: forgotten, and a full handshake at once", async () => {
  await getPod();
  damageSecret(sessionFile);
  expect(await getPod()).toStrictEqual(podAnswer);
  expect(existsSync(sessionFile)).toBe(false);
  for (let i = 0; i < 2; i++) expect(await getPod()).toStrictEqual(podAnswer);
  expect(resumed).toEqual([false, false, false, true]);
});

test("TLS session, the connection is reset when it is offered: forgotten, and a full handshake at once", async () => {
  let hellos = 0;
  /** The first message of a client that offers a session is longer. */
  let firstLength = 0;
  const middle = Bun.listen<{ to?: Bun.Socket | undefined }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.data = {};
      },
      async data(socket, bytes) {
        const { to } = socket.data;
        if (to) return void to.write(bytes);
        hellos++;
        firstLength ||= bytes.byteLength;
        if (bytes.byteLength > firstLength) return socket.terminate();
        socket.data.to = await Bun.connect({
          hostname: "127.0.0.1",
          port: server.port,
          socket: {
            open: (upstream) => void upstream.write(bytes),
            data: (_, answer) => void socket.write(answer),
          },
        });
      },
      close: (socket) => void socket.data.to?.end(),
    },
  });
  try {
    const url = `https://127.0.0.1:${middle.port}`;
    await getPod({ url });
    expect(existsSync(sessionFile)).toBe(true);
    expect(await getPod({ url })).toStrictEqual(podAnswer);
    expect({ hellos, resumed }).toEqual({ hellos: 3, resumed: [false, false] });
    expect(existsSync(sessionFile)).toBe(false);
  } finally {
    middle.stop(true);
  }
});

test("TLS session, refused by a server with other ticket keys: a full handshake, and its session is kept", async () => {
  const first = listen();
  const url = `https://127.0.0.1:${first.port}`;
  await getPod({ url });
  first.stop(true);
  const second = listen(first.port);
  try {
    for (let i = 0; i < 2; i++)
      expect(await getPod({ url })).toStrictEqual(podAnswer);
    expect(resumed).toEqual([false, false, true]);
  } finally {
    second.stop(true);
  }
});

test("TLS session, no directory for it: a full handshake each time", async () => {
  sessionFile = join(temporaryDirectory(), "missing", tlsSessionFile);
  for (let i = 0; i < 2; i++) expect(await getPod()).toStrictEqual(podAnswer);
  expect(resumed).toEqual([false, false]);
  expect(existsSync(sessionFile)).toBe(false);
});
