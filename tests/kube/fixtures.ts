/**
 * What the tests of this room share: a client of a test server whose time passes
 * only when it sleeps.
 */
import { afterAll, beforeEach } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CniError } from "../../lib/cni/error.ts";
import {
  type Kube,
  type KubeDependencies,
  createKube,
} from "../../lib/kube/client.ts";
import { ApiError } from "../../lib/kube/api-error.ts";
import type { KubeOptions } from "../../lib/kube/access/access.ts";
import { type ApiServer, startApiServer } from "../support/api-server.ts";
import { removeCerts } from "../support/certs.ts";

/** A clock that `sleep` advances; `pauses` are what was slept, in milliseconds. */
export function fakeTime() {
  let now = 0;
  const pauses: number[] = [];
  return {
    pauses,
    advance(ms: number): void {
      now += ms;
    },
    seams: {
      clock: () => now,
      sleep: async (ms: number) => {
        pauses.push(ms);
        now += ms;
        await Promise.resolve();
      },
      random: () => 1,
      now: () => new Date(Date.UTC(2026, 0, 1) + now),
    } satisfies Partial<KubeDependencies>,
  };
}

/** A client in a world without environment variables. */
export function kubeOf(
  options: KubeOptions,
  dependencies: Partial<KubeDependencies> = {},
): Kube {
  return createKube(options, {
    ...fakeTime().seams,
    env: {},
    ...dependencies,
  });
}

/** The error of an action, as data. */
export async function thrownBy(
  action: Promise<unknown>,
): Promise<{ code: number; msg: string; status?: number | undefined }> {
  try {
    await action;
  } catch (error) {
    if (error instanceof ApiError) {
      const { code, message, status } = error;
      return { code, msg: message, status };
    }
    if (error instanceof CniError) {
      return { code: error.code, msg: error.message };
    }
    throw error;
  }
  throw new Error("nothing was thrown");
}

const root = mkdtempSync(join(tmpdir(), "genie-kube-"));

afterAll(() => {
  rmSync(root, { recursive: true, force: true });
  removeCerts();
});

/** A directory of its own for each call, until the process ends. */
export function temporaryDirectory(): string {
  return mkdtempSync(join(root, "case-"));
}

/** The path of a new file. */
export function temporaryFile(
  content: string,
  { name = "file", mode = 0o600 } = {},
): string {
  const path = join(temporaryDirectory(), name);
  writeFileSync(path, content, { mode });
  return path;
}

export const pod = {
  metadata: {
    namespace: "shop",
    name: "web",
    uid: "uid-1",
    annotations: { cni: "flannel" },
  },
};

/** The result of `getPod` for {@link pod}. */
export const podAnswer = { metadata: pod.metadata };

/** The server of a test file: each test begins with {@link pod} and without requests. */
export async function startServer(
  ...options: Parameters<typeof startApiServer>
): Promise<ApiServer> {
  const server = await startApiServer(...options);
  afterAll(() => server.stop());
  beforeEach(() => {
    server.requests.length = 0;
    server.pods.put(pod);
  });
  return server;
}
