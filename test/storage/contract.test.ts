import { describe } from "vitest";
import { engines } from "../support/engine/engines.ts";
import { storageContract } from "./contract.ts";

describe.each(engines)("storage contract on $name", storageContract);
