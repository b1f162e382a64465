/** The typed API over genie's HTTP: credentials of a container, renewal, failures. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Unreachable, jsonOf, openApi } from "../../lib/kube/typed-api.ts";
import { type ApiServer, startApiServer } from "../support/api-server.ts";
import { removeCerts } from "../support/certs.ts";

let server: ApiServer;
let directory: string;
beforeAll(async () => {
  server = await startApiServer();
  directory = mkdtempSync(join(tmpdir(), "genie-typed-api-"));
});
afterAll(async () => {
  await server.stop();
  rmSync(directory, { recursive: true });
  removeCerts();
});

const soon = () => AbortSignal.timeout(3000);
const pods = "/api/v1/pods";
const users = () => server.requests.map(({ user }) => user);

test("jsonOf, a response over its limit is not read to its end", async () => {
  let read = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      read++;
      controller.enqueue(new Uint8Array(1 << 20));
    },
  });
  expect(jsonOf(new Response(endless), 2 << 20)).rejects.toThrow(
    "the response is larger than 2 MiB",
  );
  expect(read).toBeLessThan(10);
  expect(await jsonOf(new Response("[1]"), 3)).toEqual([1]);
});

describe("openApi", () => {
  test("place, a kubeconfig of the node and the files that it names, below another root", async () => {
    const root = join(directory, "host");
    const { certFile, keyFile } = server.certs.client("system:node:node1");
    mkdirSync(join(root, "etc/kubernetes/pki"), { recursive: true });
    mkdirSync(join(root, "var/lib/kubelet"), { recursive: true });
    copyFileSync(
      server.certs.ca.certFile,
      join(root, "etc/kubernetes/pki/ca.crt"),
    );
    copyFileSync(certFile, join(root, "var/lib/kubelet/client.crt"));
    copyFileSync(keyFile, join(root, "var/lib/kubelet/client.key"));
    copyFileSync(
      server.kubeconfig({
        cluster: {
          "certificate-authority-data": undefined,
          "certificate-authority": "pki/ca.crt",
        },
        user: {
          "client-certificate": "/var/lib/kubelet/client.crt",
          "client-key": "/var/lib/kubelet/client.key",
        },
      }),
      join(root, "etc/kubernetes/kubelet.conf"),
    );
    const api = await openApi(
      { kubeconfig: "/etc/kubernetes/kubelet.conf" },
      {},
      { place: (path) => root + path },
    );
    expect((await api.send(pods, soon())).status).toBe(200);
    expect(users().at(-1)).toBe("system:node:node1");
  });

  test("401, the kubeconfig is read again, once", async () => {
    const kubeconfig = join(directory, "kubeconfig");
    copyFileSync(server.kubeconfig(), kubeconfig);
    const api = await openApi({ kubeconfig }, {});
    server.tokens.clear();
    server.tokens.set("next-token", "next");
    expect((await api.send(pods, soon())).status).toBe(401);
    const text = readFileSync(kubeconfig, "utf8");
    writeFileSync(kubeconfig, text.replace("test-token", "next-token"));
    expect((await api.send(pods, soon())).status).toBe(200);
    expect(users().at(-1)).toBe("next");
  });

  test("a server that moved, is found after a failed connection", async () => {
    await using former = await startApiServer();
    let kubeconfig = join(directory, "moving");
    copyFileSync(former.kubeconfig(), kubeconfig);
    const api = await openApi(() => ({ kubeconfig }), {});
    await former.stop();
    const failure = await api
      .send(pods, soon())
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Unreachable);
    expect(failure).toMatchObject({ isAway: true, code: 11 });
    kubeconfig = join(directory, "moved");
    const [token = ""] = server.tokens.keys();
    copyFileSync(server.kubeconfig({ user: { token } }), kubeconfig);
    expect((await api.send(pods, soon())).status).toBe(200);
  });

  test("no response in time, the server is away", async () => {
    server.inject({ kind: "stall" });
    const kubeconfig = server.kubeconfig();
    const api = await openApi({ kubeconfig }, {});
    expect(
      await api
        .send(pods, AbortSignal.timeout(50))
        .catch((error: unknown) => error),
    ).toMatchObject({
      isAway: true,
      message: expect.stringContaining("no response in time") as string,
    });
  });

  test("a kubeconfig that is missing, is read when it is there", async () => {
    const kubeconfig = join(directory, "later");
    const first = await openApi({ kubeconfig }, {}).catch(
      (error: unknown) => error,
    );
    expect(first).toMatchObject({ code: 7 });
    copyFileSync(server.kubeconfig(), kubeconfig);
    const api = await openApi({ kubeconfig }, {});
    rmSync(kubeconfig);
    expect((await api.send(pods, soon())).status).toBe(200);
  });
});
