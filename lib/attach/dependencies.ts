/**
 * The outside world of a call as parameters, so that tests replace it without mocks:
 * execution, clock, API server, kubelet.
 */
import type { Kube, Try } from "../kube/client.ts";
import { type Clock, type Deadline, monotonicMs } from "../linux/deadline.ts";
import { type Exec, execDelegate } from "../linux/exec.ts";
import { readFile, statusIfAny } from "../linux/files.ts";
import { uptimeMs } from "../linux/libc.ts";
import { writeStderr } from "../linux/stdio.ts";
import type { GenieConfig } from "../select/config.ts";
import type { OpenDevices } from "./choice/allotted-devices.ts";
import type { Env } from "../cni/environment.ts";

/** {@link systemDependencies} are the real ones. */
export interface Dependencies {
  exec: Exec;
  env: Env;
  stderr(text: string): void;
  clock: Clock;
  now(): Date;
  sleep(ms: number): Promise<void>;
  /**
   * The API server. Throws 7 for an unreadable kubeconfig. `tried` is called after
   * each request.
   */
  kube(
    config: GenieConfig,
    deadline: Deadline,
    tried?: (request: Try) => void,
  ): Promise<Kube>;
  /** Throws 7 for a kubeconfig that cannot be used; sends no request. */
  checkKube(config: GenieConfig): Promise<void>;
  /** The pod's devices, from the kubelet. Throws 11. */
  devices: OpenDevices;
  bootId(): string;
  /** Milliseconds since that boot. */
  uptimeMs(): number;
  /** `"device:inode"` of our executable. */
  self(): string | undefined;
}

export function systemDependencies(env: Dependencies["env"]): Dependencies {
  let self: string | undefined;
  let bootId: string | undefined;
  return {
    exec: execDelegate,
    env,
    stderr: writeStderr,
    clock: monotonicMs,
    now: () => new Date(),
    sleep: Bun.sleep,
    async kube(config, deadline, tried) {
      const { createKube, tlsSessionFile } = await import("../kube/client.ts");
      return createKube(config.kube, {
        deadline,
        apiTimeout: config.apiTimeoutMs,
        cachedReads: config.apiReads === "cached",
        env,
        tried,
        sessionFile: `${config.dataDir}/${tlsSessionFile}`,
      });
    },
    async checkKube(config) {
      const { requireAccess } = await import("../kube/client.ts");
      await requireAccess(config.kube, { env });
    },
    async devices(...query) {
      const { openDevices } = await import("./choice/allotted-devices.ts");
      return openDevices(...query);
    },
    bootId() {
      return (bootId ??= readFile("/proc/sys/kernel/random/boot_id").trim());
    },
    uptimeMs,
    self() {
      return (self ??= statusIfAny("/proc/self/exe")?.id);
    },
  };
}
