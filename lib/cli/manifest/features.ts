/** Every optional part of the manifest; one row for each. */
import type { Feature } from "./feature.ts";

export const features: readonly Feature[] = [];
