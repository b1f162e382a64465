/**
 * From a pod to its attachments: the annotations are read, the choice is parsed, the
 * definitions that it names are fetched, the networks are resolved (selection.md). ADD
 * and `genie explain` use these steps.
 */
import { own } from "../../cni/json.ts";
import { validateNetwork } from "../../cni/network.ts";
import type { Deadline } from "../../linux/deadline.ts";
import {
  type Annotations,
  type Attachment,
  displayName,
  statusAnnotation,
} from "../../select/attachment.ts";
import {
  type Choice,
  blankChoice,
  parseChoice,
  withNetwork,
} from "../../select/choice.ts";
import type {
  GivenNetworks,
  SelectionContext,
} from "../../select/selection-context.ts";
import type { Networks } from "../../select/node-networks.ts";
import { type NetworkOfDefinition, resolve } from "../../select/resolve.ts";
import {
  type Context,
  type OpenKube,
  prefixNetwork,
  readNetworks,
} from "../context.ts";
import type { AnnotatedPod } from "./pod-annotations.ts";

/** A choice and its attachments, in the same order. */
export interface PodNetworks {
  choice: Choice;
  attachments: Attachment[];
  /**
   * Whether the pod's status reports them: several networks, the NPWG standard, or a status
   * of an earlier sandbox (selection.md §7).
   */
  isReported: boolean;
  /** Executed last, and no attachment of the pod (selection.md §11). */
  auxiliary?: Attachment | undefined;
  /** Called when the record is written, or none will be: other automatic choices may count it. */
  releaseChoice?: (() => void) | undefined;
}

/** Throws 7 and 11, before anything is executed. The plugins of all attachments exist. */
export async function choose(
  context: Context,
  { annotations }: AnnotatedPod,
  networks: Networks,
  api: OpenKube,
  deadline: Deadline,
): Promise<PodNetworks> {
  const blank = blankChoice(annotations);
  const given = blank && (await givenNetworks(context, blank, networks, api));
  const selection = selectionOf(context, networks, given?.networks);
  const parsed = parseChoice(annotations, selection);
  const networkOf = await definitionsOf(
    context,
    parsed,
    selection,
    api,
    deadline,
  );
  const { auxiliaryChain: chain } = context.config;
  const auxiliary =
    chain === undefined ? undefined : await auxiliaryChainOf(context, chain);
  const decision = await given?.decide?.(deadline);
  const releaseChoice = decision?.release;
  try {
    const choice = decision ? withNetwork(parsed, decision.network) : parsed;
    const attachments = await attachmentsOf(
      context,
      choice,
      selection,
      networkOf,
    );
    const isReported =
      choice.isNpwg ||
      attachments.length > 1 ||
      given?.isReported === true ||
      hasOldStatus(annotations);
    return { choice, attachments, isReported, auxiliary, releaseChoice };
  } catch (error) {
    releaseChoice?.();
    throw error;
  }
}

/** Whether the pod has the status of an earlier sandbox, whose addresses are gone. */
function hasOldStatus(annotations: Annotations): boolean {
  return own(annotations, statusAnnotation) !== undefined;
}

/** Throws 5 and 7. */
async function auxiliaryChainOf(
  context: Context,
  name: string,
): Promise<Attachment | undefined> {
  const { auxiliaryChain } = await import("./auxiliary-chain.ts");
  const auxiliary = auxiliaryChain(context, name);
  if (auxiliary) requireExecutables(context, [auxiliary]);
  return auxiliary;
}

/** The inputs of a selection for this call. */
export function selectionOf(
  context: Context,
  networks: Networks,
  given?: SelectionContext["given"],
): SelectionContext {
  const { request, config } = context;
  // Read once for all definitions that name a network there.
  let multusNetworks: Networks | undefined;
  return {
    config,
    networks,
    ifname: request.ifname,
    args: request.args,
    namespace: context.pod?.namespace,
    given,
    multusNetworks: () =>
      config.multusConfDir === ""
        ? undefined
        : (multusNetworks ??= readNetworks(context, config.multusConfDir)),
    warn: (message) => context.log().warn(message),
  };
}

/** The attachments of a choice. Throws 7 and 11, as {@link choose}. */
export async function resolveChoice(
  context: Context,
  choice: Choice,
  selection: SelectionContext,
  api: OpenKube,
  deadline: Deadline,
): Promise<Attachment[]> {
  const networkOf = await definitionsOf(
    context,
    choice,
    selection,
    api,
    deadline,
  );
  return attachmentsOf(context, choice, selection, networkOf);
}

/**
 * undefined if the choice names none. Throws 7 and 11. Most choices name none, so they pay
 * for no asynchronous call (docs/notes/performance.md).
 */
function definitionsOf(
  context: Context,
  choice: Choice,
  selection: SelectionContext,
  api: OpenKube,
  deadline: Deadline,
): Promise<NetworkOfDefinition> | undefined {
  if (choice.definitions.length === 0) return undefined;
  return import("./fetch-definitions.ts").then(({ fetchDefinitions }) =>
    fetchDefinitions(context, choice, selection, api, deadline),
  );
}

/** Throws 1 and 7. */
async function attachmentsOf(
  context: Context,
  choice: Choice,
  selection: SelectionContext,
  networkOf: NetworkOfDefinition | undefined,
): Promise<Attachment[]> {
  const attachments = resolve(choice, selection, networkOf);
  for (const attachment of attachments)
    if (attachment.device) await addDeviceInfo(context, attachment);
  requireExecutables(context, attachments);
  context.chosen?.(choice, attachments);
  return attachments;
}

/** The path of the device information file (selection.md §6). */
async function addDeviceInfo(
  { request }: Context,
  attachment: Attachment,
): Promise<void> {
  const { deviceInfoArgs } = await import("../../kubelet/device-info.ts");
  attachment.capabilityArgs = {
    ...attachment.capabilityArgs,
    ...deviceInfoArgs(request.containerId, attachment.ifname),
  };
}

/** The networks of a blank `cni`: logical ones or an automatic choice (selection.md §2). Throws 7 and 11. */
async function givenNetworks(
  context: Context,
  blank: NonNullable<ReturnType<typeof blankChoice>>,
  networks: Networks,
  api: OpenKube,
): Promise<GivenNetworks | undefined> {
  if (blank.logical !== undefined) {
    const { fetchLogicalNetworks } =
      await import("./fetch-logical-networks.ts");
    return fetchLogicalNetworks(context, blank.logical, networks, api);
  }
  const { automatic } = context.config;
  if (!automatic) return undefined;
  const { automaticNetworks } = await import("./automatic.ts");
  return automaticNetworks(context, automatic, networks);
}

/** Throws 1 or 7 before any plugin is executed. */
function requireExecutables(
  { dependencies, path, pod }: Context,
  attachments: readonly Attachment[],
): void {
  const self = dependencies.self();
  for (const attachment of attachments) {
    try {
      validateNetwork(attachment.list, path, self);
    } catch (error) {
      throw prefixNetwork(error, pod, displayName(attachment));
    }
  }
}
