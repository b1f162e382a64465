/**
 * The table of commands, as `genie help` lists it. A command is loaded when it is
 * called.
 */
import type { Commands, Entry } from "./command/command.ts";

export const commands: Commands = new Map(
  Object.entries({
    install: {
      summary: "install genie on this node, or upgrade it",
      load: async () => (await import("./install.ts")).install,
    },
    uninstall: {
      summary: "remove genie from this node",
      load: async () => (await import("./uninstall.ts")).uninstall,
    },
    manifest: {
      summary: "print the Kubernetes objects that install genie on every node",
      isRemote: true,
      load: async () => (await import("./manifest.ts")).manifest,
    },
    doctor: {
      summary: "check this node and give advice",
      load: async () => (await import("./doctor.ts")).doctor,
    },
    explain: {
      summary: "show which networks a pod gets on this node, and why",
      isRemote: true,
      load: async () => (await import("./explain.ts")).explain,
    },
    list: {
      summary: "list the attachments of this node's pods",
      load: async () => (await import("./list.ts")).list,
    },
    attach: {
      summary: "attach a network to a running pod",
      load: async () => (await import("./attach.ts")).attach,
    },
    detach: {
      summary: "detach a network from a running pod",
      load: async () => (await import("./attach.ts")).detach,
    },
    gc: {
      summary: "delete attachments of containers that are gone",
      load: async () => (await import("./gc.ts")).gc,
    },
    agent: {
      summary: "keep genie installed, and serve pods after their start",
      load: async () => (await import("./agent.ts")).agent,
    },
    audit: {
      summary: "find running pods without a network that they ask for",
      load: async () => (await import("./audit.ts")).audit,
    },
    metrics: {
      summary: "print the metrics of this node",
      load: async () => (await import("./metrics.ts")).metrics,
    },
    completion: {
      summary: "print a shell's completion script",
      isRemote: true,
      load: async () => (await import("./completion.ts")).completion,
    },
    version: {
      summary: "print the version",
      isRemote: true,
      load: async () => (await import("./help.ts")).version,
    },
    help: {
      summary: "print the commands, or the options of one",
      isRemote: true,
      load: async () => (await import("./help.ts")).help,
    },
    health: {
      summary: "say whether a process with --watch --health is healthy",
      hidden: true,
      load: async () => (await import("./command/watch.ts")).health,
    },
    "change-pod": {
      summary: "change the networks of a running pod, for the agent",
      hidden: true,
      load: async () => (await import("./agent/change-pod.ts")).changePod,
    },
    "node-state": {
      summary: "print whether the networks of the node are ready",
      hidden: true,
      load: async () =>
        (await import("./agent/node-state.ts")).nodeStateCommand,
    },
    "plugin-versions": {
      summary: "ask a plugin for its versions below another root directory",
      hidden: true,
      load: async () =>
        (await import("./node/plugin-versions.ts")).pluginVersions,
    },
  } satisfies Record<string, Entry>),
);
