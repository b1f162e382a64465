/** Every optional part of the manifest; one row for each. */
import { agent } from "./agent.ts";
import { choicePolicy } from "./choice-policy.ts";
import { dra } from "./dra.ts";
import type { Feature } from "./feature.ts";
import { logicalNetworks } from "./logical-networks.ts";

export const features: readonly Feature[] = [
  agent,
  choicePolicy,
  dra,
  logicalNetworks,
];
