/**
 * The outside world of an operation, as parameters; {@link systemDependencies} is the
 * real one.
 */
import { type Clock, type Deadline, monotonicMs } from "../linux/deadline.ts";
import { type Exec, execDelegate } from "../linux/exec.ts";
import { readFile, statusIfAny } from "../linux/files.ts";
import { uptimeMs } from "../linux/libc.ts";
import { writeStderr } from "../linux/stdio.ts";
import type { Kube, Try } from "../kube/client.ts";
import type { GenieConfig } from "../select/config.ts";
import type { PodReference } from "./record.ts";

export interface Dependencies {
  exec: Exec;
  env: Readonly<Record<string, string | undefined>>;
  stderr(text: string): void;
  clock: Clock;
  now(): Date;
  sleep(ms: number): Promise<void>;
  /**
   * The API server; its code is loaded only when it is asked. Throws 7 for an
   * unreadable kubeconfig. `tried` is called whenever a request has ended.
   */
  kube(
    config: GenieConfig,
    deadline: Deadline,
    tried?: (request: Try) => void,
  ): Promise<Kube>;
  /** Throws 7 for a kubeconfig that cannot be used; asks nobody. */
  checkKube(config: GenieConfig): Promise<void>;
  /** The pod's devices, from the kubelet: each call takes the next one of a resource. Throws 7 and 11. */
  devices(
    pod: PodReference,
    config: GenieConfig,
    deadline: Deadline,
  ): Promise<(resource: string) => string>;
  bootId(): string;
  /** Milliseconds since that boot. */
  uptimeMs(): number;
  /** `"device:inode"` of our executable. */
  self(): string | undefined;
}

export function systemDependencies(env: Dependencies["env"]): Dependencies {
  let self: string | undefined;
  return {
    exec: execDelegate,
    env,
    stderr: writeStderr,
    clock: monotonicMs,
    now: () => new Date(),
    sleep: Bun.sleep,
    async kube(config, deadline, tried) {
      const { createKube } = await import("../kube/client.ts");
      return createKube(config.kube, {
        deadline,
        apiTimeout: config.apiTimeoutMs,
        env,
        tried,
      });
    },
    async checkKube(config) {
      const { checkAccess } = await import("../kube/client.ts");
      await checkAccess(config.kube, { env });
    },
    async devices(pod, config, deadline) {
      const { DeviceAllotment, podDevices } =
        await import("../kubelet/podresources.ts");
      const allotment = new DeviceAllotment(
        await podDevices(pod, {
          socket: config.podResourcesSocket,
          // As much as the API server has (state.md "Time").
          deadline: deadline.atMost(config.apiTimeoutMs),
        }),
      );
      return (resource) => allotment.take(resource);
    },
    bootId: () => readFile("/proc/sys/kernel/random/boot_id").trim(),
    uptimeMs,
    self() {
      return (self ??= statusIfAny("/proc/self/exe")?.id);
    },
  };
}
