/** How a service is started while clients are not to find it. */
import type { StoppedService } from "../services/serviceControl.ts";

/** The main process, whether it ran before or not, and nothing else: workers listen at places of their own. */
export function mainAlone(stopped: StoppedService): StoppedService {
    switch (stopped.kind) {
        case "process":
            return stopped;
        case "systemd":
            return { ...stopped, units: stopped.units.map((unit) => ({ ...unit, active: isMain(unit) })) };
        case "containers":
            return { ...stopped, containers: stopped.containers.map((one) => ({ ...one, active: isMain(one) })) };
    }
}

/** All that its installer has made, whether it ran before or not. */
export function all(stopped: StoppedService): StoppedService {
    switch (stopped.kind) {
        case "process":
            return stopped;
        case "systemd": {
            const own = ({ part, active }: { part: string; active: boolean }): boolean =>
                active || part === "main" || part === "worker";
            return { ...stopped, units: stopped.units.map((unit) => ({ ...unit, active: own(unit) })) };
        }
        case "containers":
            return { ...stopped, containers: stopped.containers.map((one) => ({ ...one, active: true })) };
    }
}

const isMain = ({ part }: { readonly part: string }): boolean => part === "main";
