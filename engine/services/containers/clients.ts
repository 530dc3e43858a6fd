/** Programs that run containers: one that waits for a container's end stands for what is in it. */
export const containerClients = /(^|\/)(docker|podman|nerdctl|docker-compose|podman-compose)$/;
