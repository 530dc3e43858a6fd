/**
 * Programs that run containers: one that waits for a container's end stands for what is in it. `conmon` is what Podman leaves to wait in its place:
 * `podman run --detach` has ended long ago.
 */
export const containerClients = /(^|\/)(docker|podman|nerdctl|docker-compose|podman-compose|conmon)$/;
